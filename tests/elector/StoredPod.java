import java.util.List;
import java.util.Map;

/**
 * A pod as the API server has it, read from its tree by the invariants themselves: a program that misreads a pod must not mislead those who
 * check it.
 *
 * @param leadership value of the leadership label, null where the key is missing; likewise {@code participation} and {@code epoch}
 * @param created in ISO form, to the second
 * @param revision of the template
 * @param deletionCost what a ReplicaSet that is scaled down goes by; null if absent
 */
record StoredPod(String name, String uid, long version, String leadership, String participation, String epoch, boolean ready,
        boolean terminating, boolean finished, String created, String revision, String deletionCost) {

    /** Reads a tree; null for null. */
    static StoredPod of(Map<String, Object> tree, String leadershipLabel) {
        if (tree == null) {
            return null;
        }
        Map<String, Object> meta = Json.object(tree, "metadata");
        Map<String, Object> labels = Json.object(meta, "labels");
        Object phase = Json.at(tree, "status", "phase");
        return new StoredPod((String) meta.get("name"), (String) meta.get("uid"), Long.parseLong((String) meta.get("resourceVersion")),
                (String) labels.get(leadershipLabel), (String) labels.get(SimulatedServer.PARTICIPATION),
                (String) Json.object(meta, "annotations").get(SimulatedServer.EPOCH), isReady(tree),
                meta.containsKey("deletionTimestamp"), "Succeeded".equals(phase) || "Failed".equals(phase),
                (String) meta.get("creationTimestamp"), (String) labels.get("pod-template-hash"),
                (String) Json.object(meta, "annotations").get(Config.DELETION_COST));
    }

    private static boolean isReady(Map<String, Object> tree) {
        return Json.at(tree, "status", "conditions") instanceof List<?> conditions && conditions.stream()
                .anyMatch(c -> c instanceof Map<?, ?> map && "Ready".equals(map.get("type")) && "True".equals(map.get("status")));
    }

    boolean isLabelled() {
        return "true".equals(leadership);
    }

    /** Whether a leader has announced that it will label the pod. */
    boolean isAnnounced() {
        return epoch != null && epoch.endsWith(" announced");
    }

    /** Whether the pod has to be fenced before another one is labelled, however often it changes. */
    boolean isLabelledOrAnnounced() {
        return isLabelled() || isAnnounced();
    }

    boolean hasAllKeys() {
        return leadership != null && participation != null && epoch != null;
    }

    /** Whether it takes part, or took part. */
    boolean isMarked() {
        return participation != null || epoch != null;
    }

    boolean isAlive() {
        return !terminating && !finished;
    }
}
