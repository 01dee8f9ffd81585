import java.time.Instant;
import java.time.temporal.ChronoUnit;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * Turns the trees of a {@link Store} into the elector's values and back, as LeaderLabeler's Kubernetes section does with client-java's
 * objects. A {@link Lease}'s {@code origin} is the tree that it was read from.
 */
final class StoreCodec {

    private final Config config;

    /** {@code config} names the keys; those of all participants of a group are the same. */
    StoreCodec(Config config) {
        this.config = config;
    }

    /** A stored pod. */
    Pod pod(Map<String, Object> tree) {
        Map<String, Object> meta = Json.object(tree, "metadata");
        Map<String, Object> labels = Json.object(meta, "labels");
        Map<String, Object> annotations = Json.object(meta, "annotations");
        String created = Json.text(meta, "creationTimestamp");
        return new Pod(Json.text(meta, "name"), Json.text(meta, "uid"), Json.text(meta, "resourceVersion"),
                (String) labels.get(config.leadershipLabel()), (String) labels.get(config.participationLabel()),
                (String) annotations.get(config.epochAnnotation()), isReady(tree),
                meta.containsKey("deletionTimestamp"), isFinished(tree), Instant.parse(created),
                (String) annotations.get(Config.DELETION_COST), (String) annotations.get(config.deletionCostAnnotation()),
                (String) labels.get("pod-template-hash"));
    }

    private static boolean isReady(Map<String, Object> tree) {
        return Json.at(tree, "status", "conditions") instanceof List<?> conditions && conditions.stream()
                .anyMatch(c -> c instanceof Map<?, ?> map && "Ready".equals(map.get("type")) && "True".equals(map.get("status")));
    }

    private static boolean isFinished(Map<String, Object> tree) {
        Object phase = Json.at(tree, "status", "phase");
        return "Succeeded".equals(phase) || "Failed".equals(phase);
    }

    /** A stored Lease. */
    Lease lease(Map<String, Object> tree) {
        Map<String, Object> meta = Json.object(tree, "metadata");
        Map<String, Object> spec = Json.object(tree, "spec");
        String holder = (String) spec.get("holderIdentity");
        return new Lease(Json.text(meta, "resourceVersion"), Json.text(meta, "uid"), holder == null ? "" : holder,
                spec.get("leaseDurationSeconds") instanceof Long seconds ? seconds.intValue() : null,
                time(spec.get("acquireTime")), time(spec.get("renewTime")),
                spec.get("leaseTransitions") instanceof Long changes ? changes.intValue() : 0,
                Claim.parse((String) Json.object(meta, "annotations").get(config.claimAnnotation())),
                (String) Json.object(meta, "annotations").getOrDefault(config.preferredLeaderAnnotation(), ""), tree);
    }

    private static Instant time(Object recorded) {
        return recorded == null ? null : Instant.parse((String) recorded);
    }

    /** The body of a PUT: a version or uid that is null is left out; what others wrote on the Lease stays. */
    Map<String, Object> putBody(Lease lease) {
        Map<String, Object> meta = new LinkedHashMap<>(Json.object(tree(lease.origin()), "metadata"));
        Map<String, Object> annotations = new LinkedHashMap<>(Json.object(meta, "annotations"));
        set(annotations, config.claimAnnotation(), lease.claim() == null ? null : lease.claim().toString());
        meta.put("name", config.leaseName());
        meta.put("annotations", annotations);
        set(meta, "resourceVersion", lease.version());
        set(meta, "uid", lease.uid());
        Map<String, Object> spec = new LinkedHashMap<>(Json.object(tree(lease.origin()), "spec"));
        spec.put("holderIdentity", lease.holder());
        set(spec, "leaseDurationSeconds", lease.durationSeconds() == null ? null : lease.durationSeconds().longValue());
        set(spec, "acquireTime", lease.acquireTime() == null ? null : micros(lease.acquireTime()));
        set(spec, "renewTime", lease.renewTime() == null ? null : micros(lease.renewTime()));
        spec.put("leaseTransitions", (long) lease.transitions());
        return Map.of("metadata", meta, "spec", spec);
    }

    /** The body of a POST: a Lease that nobody holds. */
    Map<String, Object> unheldBody() {
        return Map.of("metadata", Map.of("name", config.leaseName()),
                "spec", Map.of("holderIdentity", "", "leaseDurationSeconds", 1L, "leaseTransitions", 0L));
    }

    /** The body of a merge patch: keys whose value is null are not in it, nor is a version that is null. */
    Map<String, Object> patchBody(Effect.PatchPod patch) {
        Map<String, Object> labels = new LinkedHashMap<>();
        set(labels, config.leadershipLabel(), patch.leadership());
        set(labels, config.participationLabel(), patch.participation());
        Map<String, Object> annotations = new LinkedHashMap<>();
        set(annotations, config.epochAnnotation(), patch.epoch());
        if (patch.deletionCost() != null) {
            String cost = patch.deletionCost().isEmpty() ? null : patch.deletionCost();
            annotations.put(Config.DELETION_COST, cost);
            annotations.put(config.deletionCostAnnotation(), cost);
        }
        Map<String, Object> meta = new LinkedHashMap<>();
        set(meta, "resourceVersion", patch.version());
        meta.put("labels", labels);
        meta.put("annotations", annotations);
        return Map.of("metadata", meta);
    }

    /** A time as a Lease stores it: six digits after the point. */
    static String micros(Instant time) {
        String text = time.truncatedTo(ChronoUnit.MICROS).toString();
        int point = text.indexOf('.');
        String digits = point < 0 ? "" : text.substring(point + 1, text.length() - 1);
        String seconds = point < 0 ? text.substring(0, text.length() - 1) : text.substring(0, point);
        return seconds + "." + digits + "0".repeat(6 - digits.length()) + "Z";
    }

    private static void set(Map<String, Object> map, String key, Object value) {
        if (value == null) {
            map.remove(key);
        } else {
            map.put(key, value);
        }
    }

    @SuppressWarnings("unchecked")
    private static Map<String, Object> tree(Object origin) {
        return origin == null ? Map.of() : (Map<String, Object>) origin;
    }
}
