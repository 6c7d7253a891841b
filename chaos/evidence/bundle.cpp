// Making a bundle: see bundle.h.
#include "chaos/evidence/bundle.h"

#include "chaos/evidence/bundle_files.h"
#include "chaos/evidence/event_chain.h"
#include "chaos/evidence/statement.h"
#include "chaos/evidence/views.h"

namespace roulette::evidence {

Result<Bundle> make_bundle(const std::string& run_dir, const OperatorKey& key,
                           const std::string& time_stamp) {
  Result<RunFiles> files = RunFiles::read(run_dir);
  if (!files) return files.error();
  Result<Derived> derived = derive(*files, run_dir);
  if (!derived) return derived.error();
  if (check::verdict_json(derived->verdict) != files->text("verdict.json"))
    return Error{ErrorKind::Preflight,
                 run_dir + ": its records give another verdict than verdict.json says (`roulette "
                           "judge` prints it): what was changed after the run is not bundled"};
  if (const Status status = check_cluster_signature(*files, *derived); !status)
    return Error{ErrorKind::Preflight, run_dir + "/" + status.error().message +
                                           " (such a run is not bundled)"};
  if (!derived->attached_defect.empty())
    return Error{ErrorKind::Preflight, run_dir + "/" + derived->attached_defect};
  for (auto& [name, content] : derived->files) {
    if (name == kReportModelFile && files->has(kReportFile) &&
        !shows_model(files->text(kReportFile), content))
      return Error{ErrorKind::Preflight,
                   run_dir + "/report.html is of other records: `roulette report` makes it again"};
    files->add(name, std::move(content));
  }
  const Result<std::string> pem = public_key_pem(key.public_key());
  if (!pem) return pem.error();
  files->add(kPublicKeyFile, *pem);
  const std::string manifest = manifest_json(files->run(), kViews, files->archived());
  const std::string statement = statement_json(files->run(), manifest,
                                               files->text("experiment.yaml"), derived->verdict);
  const auto signature = key.sign(as_bytes(pre_authentication(kStatementType, statement)));
  if (!signature) return signature.error();
  files->add(kManifestFile, manifest);
  files->add(kEnvelopeFile, seal({statement, {{fingerprint(key.public_key()),
                                          {signature->begin(), signature->end()}}}}));
  if (!time_stamp.empty()) {
    const auto stamped = check_time_stamp(time_stamp, files->text(kEnvelopeFile), {});
    if (!stamped)
      return Error{ErrorKind::Usage, "the time stamp: " + stamped.error().message +
                                         " (" + kEnvelopeFile + " of the bundle without one)"};
    files->add(kTimeStampFile, time_stamp);
  }
  Result<std::string> archive = write_ustar(files->archived_under_run());
  if (!archive) return archive.error();
  return Bundle{files->run(), std::move(archive).value(), files->archived().size(),
                std::move(derived->verdict)};
}

}  // namespace roulette::evidence
