roulette_test(NAME test_plan TIER unit SOURCES plan_test.cpp plan_compare_test.cpp matrix_test.cpp
  LINK roulette_chaos_plan)
target_link_libraries(test_plan PRIVATE nlohmann_json::nlohmann_json)
