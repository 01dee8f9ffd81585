import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** Mutating admission webhooks of a {@link SimulatedServer}: for a while they change what sidecars write, and the answer is 200. */
final class Admission {

    /** What becomes of the leadership label and of the epoch annotation in a pod write. */
    enum Rewrite { LABEL_REMOVED, LABEL_FALSE, LABELS_REMOVED, EPOCH_REMOVED }

    private final Simulation world;
    private Rewrite rewrite;
    /** The pod whose writes are rewritten; null for all. */
    private String onlyPod;
    private long rewritesUntil;
    private long stripsUntil;

    Admission(Simulation world) {
        this.world = world;
    }

    /** Writes to that pod, or to all pods if it is null, are rewritten until then. */
    void rewritePods(String pod, long until) {
        rewrite = world.draw.one(List.of(Rewrite.values()));
        onlyPod = pod;
        rewritesUntil = until;
    }

    /** Writes of the Lease lose our annotation until then. */
    void stripLeases(long until) {
        stripsUntil = Math.max(stripsUntil, until);
    }

    /** From now on everything is stored as it is written. */
    void end() {
        rewritesUntil = 0;
        stripsUntil = 0;
    }

    boolean stripsLeases() {
        return world.now() < stripsUntil;
    }

    /** What is merged into the pod in place of a sidecar's patch. */
    Map<String, Object> admitPatch(String pod, Map<String, Object> body) {
        if (world.now() >= rewritesUntil || onlyPod != null && !onlyPod.equals(pod)) {
            return body;
        }
        world.disturb(0);
        world.coverage.count(Fault.POD_WRITES_REWRITTEN);
        Map<String, Object> meta = new LinkedHashMap<>(Json.object(body, "metadata"));
        Map<String, Object> labels = new HashMap<>(Json.object(meta, "labels"));
        Map<String, Object> annotations = new HashMap<>(Json.object(meta, "annotations"));
        switch (rewrite) {
            case LABEL_REMOVED -> labels.put(world.mix.leadershipLabel, null);
            case LABEL_FALSE -> labels.put(world.mix.leadershipLabel, "false");
            case LABELS_REMOVED -> {
                labels.put(world.mix.leadershipLabel, null);
                labels.put(SimulatedServer.PARTICIPATION, null);
            }
            case EPOCH_REMOVED -> annotations.put(SimulatedServer.EPOCH, null);
        }
        meta.put("labels", labels);
        meta.put("annotations", annotations);
        return Map.of("metadata", meta);
    }

    /** What is stored in place of a sidecar's Lease. */
    Map<String, Object> admitLease(Map<String, Object> body) {
        if (!stripsLeases()) {
            return body;
        }
        world.disturb(0);
        world.coverage.count(Fault.LEASE_ANNOTATION_STRIPPED);
        Map<String, Object> meta = new LinkedHashMap<>(Json.object(body, "metadata"));
        Map<String, Object> annotations = new LinkedHashMap<>(Json.object(meta, "annotations"));
        annotations.remove(SimulatedServer.CLAIM);
        meta.put("annotations", annotations);
        return Map.of("metadata", meta, "spec", body.get("spec"));
    }
}
