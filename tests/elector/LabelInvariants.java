import java.util.HashMap;
import java.util.HashSet;
import java.util.Map;
import java.util.Set;

/** Who is labelled: at most one pod (I1), by a process of that pod which has won the Lease (I2), and nothing else is touched (I7). */
final class LabelInvariants {

    /** By whom and when a pod was labelled; the epoch is 0 if it is one of a history that was lost with etcd's data. */
    record Labelling(SimulatedProcess by, long at, long epoch) {}

    private final Simulation world;
    private final Set<String> labelled = new HashSet<>();
    /** When each labelled pod was labelled. */
    private final Map<String, Long> since = new HashMap<>();
    /** When each pod lost the label last. */
    private final Map<String, Long> lostAt = new HashMap<>();
    private final Map<String, Labelling> latest = new HashMap<>();
    /** Whether a request was executed whose sender had not noticed yet that etcd was restored: the documented exception to I1. */
    private boolean outdated;
    /** The latest of these requests. */
    private Effect.Request outdatedRequest;
    private long latestEpoch;
    private String latestUid;

    LabelInvariants(Simulation world) {
        this.world = world;
    }

    /** Names of the group's pods that are labelled at the moment. */
    Set<String> labelled() {
        return labelled;
    }

    /** Since when that pod is labelled; MAX_VALUE if it is not. */
    long labelledSince(String pod) {
        return since.getOrDefault(pod, Long.MAX_VALUE);
    }

    /** Since when that pod is not labelled; MAX_VALUE while it is. */
    long unlabelledSince(String pod) {
        return labelled.contains(pod) ? Long.MAX_VALUE : lostAt.getOrDefault(pod, 0L);
    }

    /** How the pod of that uid was labelled last by a process; null if it never was. */
    Labelling latest(String uid) {
        return latest.get(uid);
    }

    void note(String pod, boolean isLabelled) {
        if (isLabelled) {
            labelled.add(pod);
            since.putIfAbsent(pod, world.now());
        } else {
            since.remove(pod);
            if (labelled.remove(pod)) {
                lostAt.put(pod, world.now());
            }
            outdated &= labelled.size() > 1;
        }
    }

    void outdated(Effect.Request request) {
        outdated = true;
        outdatedRequest = request;
    }

    /** etcd was restored: an epoch may come again. */
    void restored() {
        labelled.clear();
        since.clear();
        world.server.pods().values().stream().filter(StoredPod::isLabelled).map(StoredPod::name)
                .filter(name -> !name.startsWith(Workload.OTHERS)).forEach(labelled::add);
        latest.clear();
        latestEpoch = 0;
        latestUid = null;
    }

    /** I1 and the first half of I2, when a pod was labelled. */
    void putOn(SimulatedServer.Sender sender, StoredPod after) {
        Invariants.require(labelled.size() <= 1 || world.mix.isOn(Fault.FOREIGN_TRUE) || outdated, "I1",
                () -> "two pods are labelled: " + labelled + " at version " + after.version());
        SimulatedProcess process = sender.process();
        if (process == null) {
            return;
        }
        world.coverage.count(Coverage.Deed.PROMOTION);
        Invariants.require(process.pod().uid().equals(after.uid()), "I2", () -> process + " labels another pod " + after);
        String epoch = ((Effect.PatchPod) sender.request()).epoch(); // a webhook may keep it from the pod
        Invariants.require(process.wins().contains(epoch), "I2",
                () -> process + " labels its pod with epoch " + epoch + ", but won the Lease as " + process.wins());
        boolean isLost = sender.request() == outdatedRequest;
        if (!isLost) {
            epochGrows(process, Long.parseLong(epoch));
        }
        latest.put(after.uid(), new Labelling(process, world.now(), isLost ? 0 : Long.parseLong(epoch)));
    }

    /** A process has won anew, and labelled its pod, which was still labelled: who won before may not take this label off, either. */
    void keptOn(SimulatedProcess process, Effect.PatchPod patch, StoredPod after) {
        if (patch != outdatedRequest && world.server.history() == 0) {
            latest.computeIfPresent(after.uid(), (uid, before) -> new Labelling(process, before.at(), Long.parseLong(patch.epoch())));
        }
    }

    /** The epoch, which applications use as a fencing token, never goes back, unless etcd was restored. */
    private void epochGrows(SimulatedProcess process, long epoch) {
        String uid = process.pod().uid();
        boolean grows = epoch > latestEpoch || epoch == latestEpoch && uid.equals(latestUid);
        Invariants.require(grows || world.server.history() > 0, "epoch",
                () -> process + " is labelled with epoch " + epoch + " after " + latestEpoch);
        latestEpoch = epoch;
        latestUid = uid;
    }

    /** A patch was stored: what it says rests on the state before, whose version it carried. */
    void patched(SimulatedProcess process, Effect.PatchPod patch, StoredPod before) {
        boolean own = before.uid().equals(process.pod().uid());
        world.coverage.countIf("true".equals(patch.leadership()) && before.isAnnounced(), Coverage.Deed.ANNOUNCED_PROMOTION);
        Invariants.require(!"true".equals(patch.leadership()) || before.hasAllKeys(), "keys",
                () -> process + " writes true on a pod that lacks a key: " + before);
        Invariants.require(own || !before.finished() || before.isLabelled(), "finished",
                () -> process + " writes to a pod that has finished and is not labelled: " + before);
    }

    /** I7, after a process has written to a pod. */
    void written(SimulatedProcess process, Store.Revision revision) {
        boolean kept = revision.before() != null && revision.after() != null
                && foreign(revision.before()).equals(foreign(revision.after()));
        Invariants.require(kept, "I7", () -> process + " changed more than our keys: " + revision.before() + " to " + revision.after());
        Invariants.require(!revision.name().startsWith(Workload.OTHERS), "I7",
                () -> process + " writes to a pod of another election: " + revision.name());
    }

    /** A pod without our keys and without its version. A deletion cost is ours if our annotation has the same value. */
    private Map<String, Object> foreign(Map<String, Object> pod) {
        Map<String, Object> labels = new HashMap<>(Json.object(pod, "metadata", "labels"));
        labels.remove(world.mix.leadershipLabel);
        labels.remove(SimulatedServer.PARTICIPATION);
        Map<String, Object> annotations = new HashMap<>(Json.object(pod, "metadata", "annotations"));
        annotations.remove(SimulatedServer.EPOCH);
        annotations.remove(SimulatedServer.WEBHOOK_NOTE);
        Object ownCost = annotations.remove(Mix.ELECTION + "/deletion-cost");
        if (ownCost != null) {
            annotations.remove(Config.DELETION_COST, ownCost);
        }
        Map<String, Object> meta = new HashMap<>(Json.object(pod, "metadata"));
        meta.put("labels", labels);
        meta.put("annotations", annotations);
        meta.remove("resourceVersion");
        Map<String, Object> rest = new HashMap<>(pod);
        rest.put("metadata", meta);
        return rest;
    }
}
