roulette_test(NAME test_signer_live TIER live TIMEOUT 240
  SOURCES signer_cluster.cpp signer_test.cpp signer_token_test.cpp signer_hsm_test.cpp
    ../unit/signer_host.cpp
  LINK roulette_signer_core roulette_signer_token roulette_runtime roulette_group_file
    nlohmann_json::nlohmann_json)
add_dependencies(test_signer_live roulette-signer faulty_token)
target_compile_definitions(test_signer_live PRIVATE FAULTY_TOKEN="$<TARGET_FILE:faulty_token>"
  ROULETTE_SIGNER_BINARY="$<TARGET_FILE:roulette-signer>")
