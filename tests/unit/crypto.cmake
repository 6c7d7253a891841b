roulette_test(NAME test_crypto TIER unit
  SOURCES crypto_frost_test.cpp crypto_keys_test.cpp crypto_sealed_share_test.cpp
  LINK roulette_crypto)
