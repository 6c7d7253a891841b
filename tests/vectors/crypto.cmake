roulette_test(NAME vectors_crypto TIER vectors SOURCES crypto_bip327_test.cpp
    crypto_bip445_test.cpp crypto_bips_test.cpp crypto_frost_tr_test.cpp
  LINK roulette_crypto nlohmann_json::nlohmann_json)
target_compile_definitions(vectors_crypto PRIVATE ROULETTE_SOURCE_DIR="${CMAKE_SOURCE_DIR}")
