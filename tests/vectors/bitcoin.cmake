roulette_test(NAME vectors_bitcoin TIER vectors SOURCES bitcoin_test.cpp
  LINK roulette_bitcoin nlohmann_json::nlohmann_json)
target_compile_definitions(vectors_bitcoin PRIVATE ROULETTE_SOURCE_DIR="${CMAKE_SOURCE_DIR}")
