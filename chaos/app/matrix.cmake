# `roulette matrix`: cells on living clusters, and its report.
target_sources(roulette PRIVATE app/cell_payments.cpp app/cell_run.cpp app/matrix.cpp
  app/matrix_cluster.cpp app/matrix_live.cpp app/matrix_sim.cpp app/session_watch.cpp)
