file(READ ${CMAKE_CURRENT_SOURCE_DIR}/evidence/controls.json EVIDENCE_CONTROLS)
configure_file(evidence/controls_text.h.in
  ${CMAKE_BINARY_DIR}/generated/chaos/evidence/controls_text.h @ONLY)
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS
  ${CMAKE_CURRENT_SOURCE_DIR}/evidence/controls.json)

add_library(roulette_chaos_evidence STATIC
  evidence/attached.cpp
  evidence/bundle.cpp
  evidence/bundle_files.cpp
  evidence/dsse.cpp
  evidence/event_chain.cpp
  evidence/operator_key.cpp
  evidence/report_lanes.cpp
  evidence/run_identity.cpp
  evidence/statement.cpp
  evidence/time_stamp.cpp
  evidence/ustar.cpp
  evidence/verify.cpp
  evidence/view_chaos_toolkit.cpp
  evidence/view_junit.cpp
  evidence/view_operations.cpp
  evidence/view_oscal.cpp
  evidence/view_report.cpp
  evidence/view_times.cpp
  evidence/views.cpp)
target_include_directories(roulette_chaos_evidence PRIVATE ${CMAKE_BINARY_DIR}/generated)
target_link_libraries(roulette_chaos_evidence
  PUBLIC roulette_chaos_check roulette_base
  PRIVATE roulette_runtime roulette_crypto nlohmann_json::nlohmann_json OpenSSL::Crypto)
