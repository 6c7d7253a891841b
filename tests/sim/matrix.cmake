# The cells of `roulette matrix --sim`.
roulette_test(NAME test_sim_matrix TIER sim TIMEOUT 120 SOURCES sim_matrix_test.cpp
  LINK roulette_chaos_sim)
