# The tool's own record of its children.
roulette_test(NAME test_supervisor TIER unit SOURCES supervisor_test.cpp LINK roulette_chaos_live)
roulette_test(NAME test_supervisor_metrics TIER unit SOURCES supervisor_metrics_test.cpp
  LINK roulette_chaos_live nlohmann_json::nlohmann_json)
