import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Set;

/**
 * The invariants of a {@link ScriptedWorld}, read off the API server's stored objects. Nothing here uses the program's own records of a pod
 * or a Lease, nor its {@link Config}, so a fault in those does not hide itself.
 */
final class RawInvariants {

    static final String LEADERSHIP = "web/is-leader";
    static final String PARTICIPATION = "web/participant";
    private static final String EPOCH = "web/epoch";
    private static final String HOLDER = "web/holder";

    private static final String DELETION_COST = "controller.kubernetes.io/pod-deletion-cost";
    private static final Set<String> OUR_LABELS = Set.of(LEADERSHIP, PARTICIPATION);
    /** Says which deletion cost is ours: only one of the same value. */
    private static final String OWN_DELETION_COST = "web/deletion-cost";
    private static final Set<String> OUR_ANNOTATIONS = Set.of(EPOCH, OWN_DELETION_COST);
    private static final Set<String> OUR_ANNOTATIONS_AND_COST = Set.of(EPOCH, OWN_DELETION_COST, DELETION_COST);
    private static final Set<String> SERVERS_KEYS = Set.of("labels", "annotations", "resourceVersion");

    private final Set<String> labelled = new HashSet<>();
    /**
     * Whether a write has succeeded whose sender had not noticed yet that etcd was restored: the documented exception to I1. It rests on a
     * version of the lost history, whose number has occurred again for the same object.
     */
    private boolean outdated;
    private long latestEpoch;
    private int podWrites;

    boolean isLabelled(String pod) {
        return labelled.contains(pod);
    }

    /** Number of pod writes by sidecars so far. */
    int podWrites() {
        return podWrites;
    }

    private static String label(Map<String, Object> pod, String key) {
        return pod == null ? null : Json.text(pod, "metadata", "labels", key);
    }

    private static String epoch(Map<String, Object> pod) {
        return Json.text(pod, "metadata", "annotations", EPOCH);
    }

    private static String uid(Map<String, Object> object) {
        return Json.text(object, "metadata", "uid");
    }

    private static void require(boolean holds, String invariant, String text) {
        if (!holds) {
            throw new Violation(invariant, text);
        }
    }

    // --- At every revision -------------------------------------------------------------------------------------------

    /** A pod has changed; {@code sender} is null if no sidecar did it. */
    void podRevised(ScriptedProcess sender, Store.Revision revision) {
        boolean was = "true".equals(label(revision.before(), LEADERSHIP));
        boolean is = "true".equals(label(revision.after(), LEADERSHIP));
        if (sender != null) {
            podWrites++;
            require(revision.before() != null && revision.after() != null && differInOurKeysAlone(revision.before(), revision.after()),
                    "I7", sender + " changed more than our keys");
        }
        if (is) {
            labelled.add(revision.name());
        } else if (was) {
            labelled.remove(revision.name());
        }
        if (is && !was) {
            require(labelled.size() <= 1 || outdated, "I1", "two pods are labelled");
            require(sender != null && sender.pod().uid().equals(uid(revision.after())), "I2", "labelled by another pod's process");
            String epoch = epoch(revision.after());
            require(sender.wins().contains(epoch), "I2", "labelled by a process that has not won the Lease with this epoch");
            require(Long.parseLong(epoch) >= latestEpoch || outdated, "epoch", "the epoch goes back");
            latestEpoch = Long.parseLong(epoch);
        }
    }

    /** Whether two versions of a pod differ in our keys alone. */
    private static boolean differInOurKeysAlone(Map<String, Object> before, Map<String, Object> after) {
        Map<String, Object> one = Json.object(before, "metadata");
        Map<String, Object> other = Json.object(after, "metadata");
        return isSame(before, after, Set.of("metadata")) && isSame(one, other, SERVERS_KEYS)
                && isSame(Json.object(one, "labels"), Json.object(other, "labels"), OUR_LABELS)
                && isSame(Json.object(one, "annotations"), Json.object(other, "annotations"),
                        isCostOurs(one) && isCostOurs(other) ? OUR_ANNOTATIONS_AND_COST : OUR_ANNOTATIONS);
    }

    /** Whether a pod has no deletion cost but one that a leader wrote. */
    private static boolean isCostOurs(Map<String, Object> metadata) {
        return Objects.equals(Json.text(metadata, "annotations", DELETION_COST), Json.text(metadata, "annotations", OWN_DELETION_COST));
    }

    /** Whether two objects have the same fields with the same values, those aside that are named. */
    private static boolean isSame(Map<String, Object> one, Map<String, Object> other, Set<String> aside) {
        int compared = 0;
        for (Map.Entry<String, Object> field : one.entrySet()) {
            if (!aside.contains(field.getKey())) {
                compared++;
                if (!field.getValue().equals(other.get(field.getKey()))) {
                    return false;
                }
            }
        }
        for (String key : other.keySet()) {
            compared -= aside.contains(key) ? 0 : 1;
        }
        return compared == 0;
    }

    /** The Lease has changed. A sidecar that puts another claim of its pod in the place of what was there has won it. */
    void leaseRevised(ScriptedProcess sender, Store.Revision revision) {
        String[] claim = claim(revision.after());
        if (sender == null || claim == null || !claim[1].equals(sender.pod().uid())) {
            return;
        }
        String[] before = claim(revision.before());
        boolean renewed = before != null && before[1].equals(claim[1]) && before[2].equals(claim[2]);
        if (revision.before() != null && !renewed) {
            sender.wins().add(Long.toString(revision.resourceVersion()));
        }
    }

    /** Name, uid, acquireTime and renewTime of the Lease's holder; null if there is none. */
    private static String[] claim(Map<String, Object> lease) {
        String holder = lease == null ? null : Json.text(lease, "spec", "holderIdentity");
        String text = lease == null ? null : Json.text(lease, "metadata", "annotations", HOLDER);
        String[] parts = text == null ? new String[0] : text.split("/");
        return parts.length == 4 && parts[0].equals(holder) ? parts : null;
    }

    /** A request has succeeded whose sender had not noticed yet that etcd was restored. */
    void outdated(Effect.Request request) {
        outdated |= request instanceof Effect.PutLease || request instanceof Effect.PatchPod;
    }

    /** etcd was restored: whoever is labelled now is so by the past, and versions are given anew. */
    void restored(List<Map<String, Object>> pods) {
        labelled.clear();
        pods.stream().filter(pod -> "true".equals(label(pod, LEADERSHIP))).forEach(pod -> labelled.add(Json.text(pod, "metadata", "name")));
        latestEpoch = 0;
    }

    // --- At the end --------------------------------------------------------------------------------------------------

    /** What is not yet as it should be (I4, I6); null if nothing. */
    Violation unsettled(ScriptedWorld world) {
        if (labelled.size() != 1) {
            return new Violation("I4", "labelled are " + labelled);
        }
        String name = labelled.iterator().next();
        ScriptedWorld.Member leader = world.pod(name);
        if (leader == null || leader.process() == null || !leader.process().isCandidate()) {
            return new Violation("I4", name + " is labelled, but no process of it leads");
        }
        String[] claim = claim(world.server().leaseTree());
        if (claim == null || !claim[1].equals(leader.uid())) {
            return new Violation("I4", name + " is labelled, but the Lease is " + world.server().leaseTree());
        }
        String epoch = null;
        List<Map<String, Object>> pods = world.server().podTrees();
        for (Map<String, Object> pod : pods) {
            epoch = uid(pod).equals(leader.uid()) ? epoch(pod) : epoch;
        }
        for (Map<String, Object> pod : pods) {
            boolean leads = uid(pod).equals(leader.uid());
            if (!Boolean.toString(leads).equals(label(pod, LEADERSHIP)) || !"true".equals(label(pod, PARTICIPATION))
                    || !Objects.equals(epoch, epoch(pod))) {
                return new Violation("I6", name + " leads with epoch " + epoch + ", but there is " + pod.get("metadata"));
            }
        }
        return leader.process().wins().contains(epoch) ? null : new Violation("I6", name + " has epoch " + epoch);
    }
}
