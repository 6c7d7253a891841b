# The whole tool with real clusters: each case is one ctest test; the short run is made once and
# read by several.
find_program(ROULETTE_PYTHON python3 REQUIRED)

set(tool_environment ROULETTE=$<TARGET_FILE:roulette>
  ROULETTE_TEST_RUNS=${CMAKE_BINARY_DIR}/live-runs PYTHONDONTWRITEBYTECODE=1)

# tool_test(NAME words COMMAND script arguments ... [TIMEOUT s] [SETUP fixture] [NEEDS fixture])
function(tool_test)
  cmake_parse_arguments(T "" "NAME;TIMEOUT;SETUP;NEEDS" "COMMAND" ${ARGN})
  list(POP_FRONT T_COMMAND script)
  add_test(NAME "live: ${T_NAME}"
    COMMAND ${ROULETTE_PYTHON} ${CMAKE_CURRENT_SOURCE_DIR}/${script} ${T_COMMAND}
    WORKING_DIRECTORY ${CMAKE_SOURCE_DIR})
  set_tests_properties("live: ${T_NAME}" PROPERTIES LABELS live TIMEOUT ${T_TIMEOUT}
    RUN_SERIAL TRUE FIXTURES_SETUP "${T_SETUP}" FIXTURES_REQUIRED "${T_NEEDS}"
    ENVIRONMENT "${tool_environment}")
endfunction()

tool_test(NAME "killpoints lists 40 points or more, each once" TIMEOUT 30
  COMMAND cli_test.py Cli.test_killpoints)
tool_test(NAME "a wrong experiment is refused with its line" TIMEOUT 60
  COMMAND cli_test.py Cli.test_wrong_files)
tool_test(NAME "a folder of experiments is checked whole and ends with a table" TIMEOUT 60
  COMMAND cli_test.py Cli.test_suites)
tool_test(NAME "a signer is not provisioned again without the ledger unless that is said" TIMEOUT 30
  COMMAND cli_test.py Cli.test_provisioning_wants_the_ledger)
tool_test(NAME "init writes an experiment that runs, and over nothing" TIMEOUT 30
  COMMAND cli_test.py Cli.test_init)
tool_test(NAME "clean deletes run folders only, and none that is in use" TIMEOUT 30
  COMMAND cli_test.py Cli.test_clean)
tool_test(NAME "man page and completion hold every command and flag" TIMEOUT 60
  COMMAND manual_test.py Manual.test_manual)
tool_test(NAME "a wrong flag is refused" TIMEOUT 60 COMMAND cli_test.py Cli.test_wrong_flags)
tool_test(NAME "what is missing is said before anything starts" TIMEOUT 60
  COMMAND cli_test.py Cli.test_preflight)
tool_test(NAME "a seed draws one schedule" TIMEOUT 30 COMMAND cli_test.py Cli.test_schedules)

tool_test(NAME "a short run under kills ends pass" TIMEOUT 160 SETUP short_run
  COMMAND run_short_test.py run)
tool_test(NAME "the verdict of a run is whole" TIMEOUT 30 NEEDS short_run
  COMMAND run_short_test.py verdict)
tool_test(NAME "every fault of a run has the proof of its kind" TIMEOUT 30 NEEDS short_run
  COMMAND run_short_test.py faults)
tool_test(NAME "unrelated libraries accept every transaction of a run" TIMEOUT 90 NEEDS short_run
  COMMAND run_short_test.py npm)
tool_test(NAME "bitcoin-cli agrees with the records of a run" TIMEOUT 90 NEEDS short_run
  COMMAND run_short_test.py node)

tool_test(NAME "the faults of a run are carried into the simulator" TIMEOUT 60 NEEDS short_run
  COMMAND run_short_test.py carried)

tool_test(NAME "doctored records of a run do not pass" TIMEOUT 120 NEEDS short_run
  COMMAND run_short_test.py doctored)

tool_test(NAME "a run is explained by the records of the payment it is about" TIMEOUT 60
  NEEDS short_run COMMAND run_short_test.py explain)

tool_test(NAME "a run's withdrawals are traces that a collector takes" TIMEOUT 60 NEEDS short_run
  COMMAND trace_test.py Traces.test_trace)
tool_test(NAME "a run's report is complete without a network and without JavaScript" TIMEOUT 60
  NEEDS short_run COMMAND run_short_test.py report)
tool_test(NAME "a bundle's time stamp is checked under the authority that is trusted" TIMEOUT 60
  NEEDS short_run COMMAND run_short_test.py stamp)
tool_test(NAME "a run's bundle is signed, holds no secret, and verifies" TIMEOUT 60 NEEDS short_run
  COMMAND run_short_test.py bundle)
tool_test(NAME "a run's bundle is accepted by the tool and by Python alone" TIMEOUT 120
  NEEDS short_run COMMAND run_short_test.py evidence)

tool_test(NAME "a kill that never fires and a load under its floor are inconclusive" TIMEOUT 120
  COMMAND run_honesty_test.py Honesty.test_silent_kill_and_floor)
tool_test(NAME "an exit that the tool did not ask for fails the run" TIMEOUT 120
  COMMAND run_honesty_test.py Honesty.test_unasked_exit)
tool_test(NAME "a killed tool leaves no process" TIMEOUT 120
  COMMAND run_honesty_test.py Honesty.test_killed_tool)
tool_test(NAME "SIGINT ends a run as inconclusive and leaves no process" TIMEOUT 120
  COMMAND run_honesty_test.py Honesty.test_sigint)
tool_test(NAME "SIGTERM ends a run as inconclusive and leaves no process" TIMEOUT 120
  COMMAND run_honesty_test.py Honesty.test_sigterm)
tool_test(NAME "a client's record that cannot be written is inconclusive and leaves no process"
  TIMEOUT 120 COMMAND run_honesty_test.py Honesty.test_record_cannot_be_written)
tool_test(NAME "a SIGTERM during the start ends it and leaves no process" TIMEOUT 120
  COMMAND run_honesty_test.py Honesty.test_signal_during_start)

tool_test(NAME "frost-tr pays under kills" TIMEOUT 180 COMMAND scheme_run_test.py frost-tr)
tool_test(NAME "musig2 pays under kills and refuses while one signer is down" TIMEOUT 180
  COMMAND scheme_run_test.py musig2)
tool_test(NAME "a single key pays under kills and refuses while it is down" TIMEOUT 180
  COMMAND scheme_run_test.py single)
tool_test(NAME "a key in a token pays under kills and refuses while its signer is down" TIMEOUT 180
  COMMAND scheme_run_test.py hsm)
tool_test(NAME "a token that fails while payments wait costs none of them" TIMEOUT 180
  COMMAND token_faults_test.py $<TARGET_FILE:faulty_token>)
tool_test(NAME "each fault of a token in an experiment has the proof of its kind" TIMEOUT 300
  COMMAND token_run_test.py TokenRun.test_each_kind)
tool_test(NAME "a token that hangs ends its signer, or not, by its patience, and costs no payment"
  TIMEOUT 150 COMMAND token_run_test.py TokenRun.test_hangs)
tool_test(NAME "a token's fault that no call met makes a run inconclusive" TIMEOUT 150
  COMMAND token_run_test.py TokenRun.test_no_call_no_proof)
tool_test(NAME "frost with its shares in tokens pays under kills" TIMEOUT 180
  COMMAND scheme_run_test.py vault-token)

tool_test(NAME "twenty signers pay while nine of them are dead" TIMEOUT 180
  COMMAND large_run_test.py Twenty.test_run)

tool_test(NAME "bench measures every scheme's steps and signers and leaves nothing" TIMEOUT 180
  COMMAND bench_test.py Bench.test_bench)
tool_test(NAME "bench pays with whole clusters and counts what their records hold" TIMEOUT 240
  COMMAND bench_test.py Bench.test_service)
tool_test(NAME "bench refuses what it cannot measure" TIMEOUT 30
  COMMAND bench_test.py Bench.test_wrong_flags)
tool_test(NAME "two schemes are compared under the same blows, by what their records hold"
  TIMEOUT 240 COMMAND compare_test.py Compare.test_two_schemes)
tool_test(NAME "what cannot be compared is refused before anything starts" TIMEOUT 60
  COMMAND compare_test.py Compare.test_what_cannot_be_compared)
tool_test(NAME "one ledger with its log in a file pays under kills" TIMEOUT 240
  COMMAND compare_test.py Compare.test_log_in_a_file)

tool_test(NAME "processes killed from outside cost no payment" TIMEOUT 180
  COMMAND up_test.py Up.test_up)

tool_test(NAME "a signer killed at each of its points costs no payment" TIMEOUT 180
  COMMAND matrix_test.py Matrix.test_signer_points)
tool_test(NAME "a token's signer killed around what it sends is a refusal, and no payment is lost"
  TIMEOUT 180 COMMAND matrix_test.py Matrix.test_hsm_sends)
tool_test(NAME "a musig2 signer killed around its record is a refusal, and no payment is lost"
  TIMEOUT 180 COMMAND matrix_test.py Matrix.test_musig2_persists)
tool_test(NAME "a matrix without a kind or without a point is refused" TIMEOUT 30
  COMMAND matrix_test.py Matrix.test_wrong_flags)
tool_test(NAME "a node that lags or hangs is left for the other, and payments go on" TIMEOUT 180
  COMMAND node_fallback_test.py NodeFallback.test_primary)

tool_test(NAME "hostile bytes, certificates, frames and requests cost no payment and no descriptor"
  TIMEOUT 180 COMMAND hostile_test.py Hostile.test_peers)
tool_test(NAME "ten thousand connections keep no client and no restarted process out" TIMEOUT 240
  COMMAND hostile_test.py Hostile.test_floods)
tool_test(NAME "a daemon without descriptors neither spins nor ends" TIMEOUT 180
  COMMAND hostile_test.py Hostile.test_descriptors)

tool_test(NAME "a full disk ends a daemon with its reason and nothing that it had not written"
  TIMEOUT 240 COMMAND machine_faults_test.py MachineFaults.test_full_disks)
tool_test(NAME "a read-only folder and a taken port are said at the start" TIMEOUT 240
  COMMAND machine_faults_test.py MachineFaults.test_unfit_starts)
tool_test(NAME "a wall clock set back changes nothing" TIMEOUT 180
  COMMAND machine_faults_test.py MachineFaults.test_clock_set_back)
tool_test(NAME "etcd is compacted and each member defragmented, and no request fails" TIMEOUT 180
  COMMAND defragment_test.py Defragment.test_members)
