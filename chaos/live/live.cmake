add_library(roulette_chaos_live STATIC live/binaries.cpp live/cluster.cpp live/cluster_files.cpp
  live/deployment.cpp
  live/environment.cpp live/export.cpp live/faults.cpp live/funding.cpp live/load.cpp live/node.cpp
  live/ports.cpp live/reconciliation.cpp live/remote_etcd.cpp live/reprovision.cpp
  live/run_identity.cpp
  live/spawner.cpp live/stranger.cpp live/supervisor.cpp live/supervisor_metrics.cpp)
target_link_libraries(roulette_chaos_live 
  PUBLIC roulette_chaos_plan roulette_runtime roulette_group_file
  PRIVATE roulette_crypto roulette_bitcoin roulette_wire nlohmann_json::nlohmann_json
  OpenSSL::Crypto Threads::Threads)
