roulette_test(NAME test_evidence TIER unit TIMEOUT 300
  SOURCES check_run.cpp evidence_archive_test.cpp evidence_bundle_test.cpp finished_run.cpp
  LINK roulette_chaos_evidence roulette_signer_core roulette_soft_ecdsa roulette_bitcoin
       roulette_crypto roulette_wire roulette_runtime)
target_link_libraries(test_evidence PRIVATE nlohmann_json::nlohmann_json)

# An auditor's own program on a small bundle. small_bundle makes it from the run made by hand.
add_executable(small_bundle small_bundle.cpp check_run.cpp finished_run.cpp)
target_link_libraries(small_bundle PRIVATE roulette_flags Catch2::Catch2 roulette_chaos_evidence
  roulette_signer_core roulette_soft_ecdsa roulette_bitcoin roulette_crypto roulette_wire
  roulette_runtime nlohmann_json::nlohmann_json)
set_target_properties(small_bundle PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
find_program(ROULETTE_PYTHON python3 REQUIRED)
function(python_test name)
  add_test(NAME ${name} COMMAND ${ROULETTE_PYTHON} -B ${ARGN})
  set_tests_properties(${name} PROPERTIES LABELS unit TIMEOUT 300)
endfunction()
python_test("unit: Python alone verifies a bundle and finds every forgery"
  ${CMAKE_CURRENT_SOURCE_DIR}/verify_bundle_test.py $<TARGET_FILE:small_bundle>)
python_test("unit: Python alone says of every planted run what the checkers say"
  ${CMAKE_CURRENT_SOURCE_DIR}/verify_planted_test.py $<TARGET_FILE:test_check>)
python_test("unit: JUnit files of a run and of a matrix are valid by a schema"
  ${CMAKE_CURRENT_SOURCE_DIR}/junit_test.py $<TARGET_FILE:small_bundle> $<TARGET_FILE:roulette>)
python_test("unit: a bundle's views are what the Chaos Toolkit and OSCAL document"
  ${CMAKE_CURRENT_SOURCE_DIR}/evidence_views_test.py $<TARGET_FILE:small_bundle>)
