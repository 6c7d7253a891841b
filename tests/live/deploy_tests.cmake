# Clusters whose etcd is somebody else's, and clusters on several machines. tool_test: see
# cli_tests.cmake.
tool_test(NAME "an etcd that others use too holds a cluster's log, and their keys are as before"
  TIMEOUT 240 COMMAND remote_etcd_test.py RemoteEtcd.test_shared)
tool_test(NAME "an experiment passes on an etcd that the user runs" TIMEOUT 200
  COMMAND remote_etcd_test.py RemoteEtcd.test_run)
tool_test(NAME "deploy gives each machine its own secrets and nobody else's" TIMEOUT 60
  COMMAND deploy_test.py Deploy.test_files)
tool_test(NAME "deploy refuses what cannot be a cluster on several machines" TIMEOUT 60
  COMMAND deploy_test.py Deploy.test_refusals)
tool_test(NAME "replicas and coordinators join and leave a deployed cluster under load" TIMEOUT 300
  COMMAND membership_test.py Membership.test_under_load)
tool_test(NAME "a ledger refuses an etcd that it was not told of properly" TIMEOUT 60
  COMMAND deploy_test.py Deploy.test_ledger_settings)
