roulette_test(NAME test_crypto TIER unit
  SOURCES crypto_frost_test.cpp crypto_keys_test.cpp crypto_scalar_test.cpp
    crypto_schemes_test.cpp crypto_sealed_share_test.cpp
  LINK roulette_crypto roulette_soft_ecdsa)

add_test(NAME "unit: signing is constant time under memcheck and a planted leak is found"
  COMMAND ${CMAKE_SOURCE_DIR}/tools/check-constant-time $<TARGET_FILE:ct_check>)
set_tests_properties("unit: signing is constant time under memcheck and a planted leak is found"
  PROPERTIES LABELS unit TIMEOUT 120 SKIP_RETURN_CODE 77)
