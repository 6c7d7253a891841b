roulette_test(NAME test_signer TIER unit
  SOURCES signer_host.cpp signer_nonce_test.cpp signer_request_test.cpp signer_binding_test.cpp
          signer_gate_test.cpp signer_drain_test.cpp signer_journal_test.cpp
          signer_adversary_test.cpp signer_quarantine_test.cpp
          signer_founding_test.cpp signer_hsm_test.cpp signer_client_test.cpp
  LINK roulette_signer_core roulette_soft_ecdsa)
roulette_test(NAME test_signer_token TIER unit
  SOURCES signer_token_test.cpp signer_token_faults_test.cpp signer_token_key_test.cpp
  LINK roulette_signer_token ${CMAKE_DL_LIBS})
add_dependencies(test_signer_token faulty_token)
target_compile_definitions(test_signer_token PRIVATE
  FAULTY_TOKEN="$<TARGET_FILE:faulty_token>")
target_include_directories(test_signer_token SYSTEM PRIVATE ${P11KIT_INCLUDE_DIR})
