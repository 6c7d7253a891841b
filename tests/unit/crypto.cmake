roulette_test(NAME test_crypto TIER unit
  SOURCES crypto_frost_test.cpp
  LINK roulette_crypto)
