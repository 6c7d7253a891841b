add_executable(roulette app/compare.cpp app/doctor.cpp app/evidence.cpp app/fan_out.cpp
  app/judge.cpp app/main.cpp app/mutants.cpp app/progress.cpp app/replay.cpp app/report.cpp
  app/reprovision.cpp app/run.cpp app/session.cpp app/shrunk.cpp app/sim.cpp app/up.cpp)
target_compile_definitions(roulette PRIVATE ROULETTE_VERSION="${PROJECT_VERSION}")
target_link_libraries(roulette PRIVATE roulette_chaos_live roulette_chaos_check
  roulette_chaos_evidence roulette_chaos_plan
  roulette_chaos_sim roulette_crypto nlohmann_json::nlohmann_json)
target_sources(roulette PRIVATE app/bench.cpp app/bench_service.cpp app/carry.cpp
  app/client_signature.cpp app/clean.cpp app/deploy.cpp app/explain.cpp
  app/init.cpp app/manual.cpp app/trace.cpp bench/cpu.cpp
  bench/module_peer.cpp bench/service.cpp bench/signing.cpp bench/steps.cpp)
# The steps' peers are called as they are, and Google Benchmark times them.
find_package(benchmark REQUIRED)
target_link_libraries(roulette PRIVATE benchmark::benchmark secp256k1)
# A sweep allocates small pieces in one thread all day: a fifth of its time with the C library's
# allocator. A sanitizer brings its own.
if(NOT ROULETTE_SANITIZE)
  find_library(TCMALLOC_LIBRARY libtcmalloc_minimal.a REQUIRED)
  target_link_libraries(roulette PRIVATE ${TCMALLOC_LIBRARY})
endif()
if(ROULETTE_MUTANTS)
  target_sources(roulette PRIVATE app/mutants_live.cpp)
endif()
include(app/matrix.cmake)
