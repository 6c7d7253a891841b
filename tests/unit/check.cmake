roulette_test(NAME test_check TIER unit
  SOURCES check_run.cpp check_money_test.cpp check_process_test.cpp check_signing_test.cpp
          check_verdict_test.cpp check_base_test.cpp check_comparison_test.cpp
          check_token_key_test.cpp
  LINK roulette_chaos_check roulette_soft_ecdsa roulette_signer_core
       roulette_bitcoin roulette_crypto roulette_wire)
target_link_libraries(test_check PRIVATE nlohmann_json::nlohmann_json)
