roulette_test(NAME test_evidence TIER unit TIMEOUT 300
  SOURCES check_run.cpp evidence_archive_test.cpp evidence_bundle_test.cpp
  LINK roulette_chaos_evidence roulette_signer_core roulette_bitcoin roulette_crypto roulette_wire
       roulette_runtime)
target_link_libraries(test_evidence PRIVATE nlohmann_json::nlohmann_json)
