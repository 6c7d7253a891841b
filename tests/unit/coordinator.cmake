# The coordinator's machine, by its parts; all share one small world of scripted peers.
add_library(coordinator_world STATIC coordinator_world.cpp)
target_link_libraries(coordinator_world PUBLIC roulette_coordinator_core)
roulette_test(NAME test_coordinator TIER unit
  SOURCES coordinator_clients_test.cpp coordinator_signing_test.cpp
          coordinator_ledger_test.cpp coordinator_chain_test.cpp coordinator_takeover_test.cpp
          coordinator_journal_test.cpp coordinator_node_choice_test.cpp
  LINK coordinator_world)
roulette_test(NAME test_coordinator_api TIER unit
  SOURCES coordinator_api_test.cpp coordinator_openapi_test.cpp coordinator_tokens_test.cpp
  LINK roulette_coordinator_api nlohmann_json::nlohmann_json)
target_include_directories(test_coordinator_api SYSTEM PRIVATE ${VALIJSON_INCLUDE_DIR})
target_compile_definitions(test_coordinator_api PRIVATE
  ROULETTE_OPENAPI="${CMAKE_SOURCE_DIR}/docs/openapi.json")
