add_library(roulette_chaos_check STATIC
  check/books.cpp
  check/comparison.cpp
  check/comparison_report.cpp
  check/continuity.cpp
  check/coverage.cpp
  check/findings.cpp
  check/history.cpp
  check/history_client.cpp
  check/history_events.cpp
  check/history_base.cpp
  check/history_state.cpp
  check/journal_chain.cpp
  check/keys.cpp
  check/latency.cpp
  check/ledger_model.cpp
  check/payments.cpp
  check/processes.cpp
  check/record_reader.cpp
  check/refusal.cpp
  check/replicas.cpp
  check/trims.cpp
  check/run_journal.cpp
  check/signatures.cpp
  check/timelines.cpp
  check/token_faults.cpp
  check/told.cpp
  check/transactions.cpp
  check/verdict.cpp)
target_link_libraries(roulette_chaos_check
  PUBLIC roulette_chaos_plan roulette_base roulette_bitcoin
  PRIVATE roulette_crypto roulette_wire nlohmann_json::nlohmann_json)
