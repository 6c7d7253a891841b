# The live host's building blocks. Each program is small so that one change rebuilds little.
roulette_test(NAME test_runtime_process TIER unit SOURCES runtime_process_test.cpp
  LINK roulette_runtime nlohmann_json::nlohmann_json)
roulette_test(NAME test_runtime_command TIER unit SOURCES runtime_command_test.cpp
  LINK roulette_runtime)
roulette_test(NAME test_runtime_group_file TIER unit SOURCES runtime_group_file_test.cpp
  LINK roulette_group_file)
roulette_test(NAME test_runtime_clients_file TIER unit SOURCES runtime_clients_file_test.cpp
  LINK roulette_clients_file)
roulette_test(NAME test_runtime_storage TIER unit SOURCES runtime_storage_test.cpp
          runtime_traffic_test.cpp
  LINK roulette_runtime nlohmann_json::nlohmann_json OpenSSL::Crypto)
roulette_test(NAME test_runtime_tls TIER unit SOURCES runtime_tls_test.cpp
  LINK roulette_runtime OpenSSL::SSL Threads::Threads)
roulette_test(NAME test_runtime_http TIER unit SOURCES runtime_http_test.cpp
  LINK roulette_runtime Threads::Threads)

# Figures, not a test: build it by name.
add_executable(measure_runtime EXCLUDE_FROM_ALL runtime_measure.cpp)
target_link_libraries(measure_runtime PRIVATE roulette_runtime)
