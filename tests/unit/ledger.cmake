roulette_test(NAME test_ledger_state TIER unit SOURCES ledger_state_test.cpp ledger_pages_test.cpp
  LINK roulette_ledger_core roulette_soft_ecdsa)
roulette_test(NAME test_ledger_machine TIER unit SOURCES ledger_machine_test.cpp
  LINK roulette_ledger_core roulette_soft_ecdsa)
roulette_test(NAME test_ledger_property TIER unit SOURCES ledger_property_test.cpp
  LINK roulette_ledger_core roulette_soft_ecdsa)
roulette_test(NAME test_ledger_snapshot TIER unit
  SOURCES ledger_snapshot_test.cpp ledger_store_test.cpp
  LINK roulette_ledger_core roulette_soft_ecdsa)
roulette_test(NAME test_ledger_sqlite_log TIER unit SOURCES ledger_sqlite_log_test.cpp
  LINK roulette_ledger_log)
