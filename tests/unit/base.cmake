roulette_test(NAME test_base TIER unit SOURCES base_test.cpp LINK roulette_base)
