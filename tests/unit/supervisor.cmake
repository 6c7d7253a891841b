# The tool's own record of its children.
roulette_test(NAME test_supervisor TIER unit SOURCES supervisor_test.cpp LINK roulette_chaos_live)
