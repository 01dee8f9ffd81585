import java.util.Collections;
import java.util.EnumSet;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.function.BiConsumer;

/**
 * Admission webhooks of a {@link SimulatedServer}: for a while they change what sidecars write, and the answer is 200, or they refuse
 * what is written to the Lease.
 */
final class Admission {

    /** What becomes of a pod write: of the leadership label, of the epoch annotation, or of none of our keys. */
    enum Rewrite { LABEL_REMOVED, LABEL_FALSE, LABEL_CAPITALISED, LABELS_REMOVED, EPOCH_REMOVED, EPOCH_KEPT, NOTE_ADDED }

    /** What becomes of a write of the Lease. */
    enum LeaseRewrite {
        CLAIM_REMOVED, TIMES_IN_SECONDS, TIMES_OF_SERVER, RENEW_TIME_OF_SERVER, ONE_TIME, NO_TIMES, NO_TRANSITIONS,
        /** No renewal makes a new version. */
        NOTHING_NEW,
        SHORT_DURATION, NO_DURATION, HOLDER_APPENDED, HOLDER_REMOVED,
        /** No holder is refused. */
        RELEASE_REFUSED;

        /** With any one of these, a pod leads and stays leader; others do not learn at once that it leaves. */
        static final List<LeaseRewrite> BEARABLE = List.of(CLAIM_REMOVED, TIMES_IN_SECONDS, TIMES_OF_SERVER, RENEW_TIME_OF_SERVER, ONE_TIME,
                NO_TIMES, NO_TRANSITIONS, RELEASE_REFUSED);
        /** With any one of these, nobody leads for long. */
        private static final Set<LeaseRewrite> HINDER = EnumSet.of(NOTHING_NEW, SHORT_DURATION, HOLDER_APPENDED, HOLDER_REMOVED);
        /** Nor with one of these where the claim is removed, too. */
        private static final Set<LeaseRewrite> HIDE_RENEWALS = EnumSet.of(TIMES_IN_SECONDS, ONE_TIME, NO_TIMES);
    }

    private final Simulation world;
    private Rewrite rewrite;
    /** The pod whose writes are rewritten; null for all. */
    private String onlyPod;
    private long rewritesUntil;
    private final Set<LeaseRewrite> leaseRewrites = EnumSet.noneOf(LeaseRewrite.class);
    private long leaseRewritesUntil;
    /** The pod whose writes to the Lease are refused; null for all. */
    private String refusedPod;
    private String refusal;
    private long refusesUntil;
    /** When a sidecar last could not tell others that it holds the Lease. */
    private long hinderedAt = Long.MIN_VALUE;

    Admission(Simulation world) {
        this.world = world;
    }

    /** Writes to that pod, or to all pods if it is null, are rewritten until then. */
    void rewritePods(String pod, long until) {
        rewrite = world.draw.one(List.of(Rewrite.values()));
        onlyPod = pod;
        rewritesUntil = until;
    }

    /** Writes of the Lease are changed until then, in one of these ways or, if there may be an end to it, two. */
    void rewriteLeases(List<LeaseRewrite> ways, long until) {
        leaseRewrites.clear();
        leaseRewrites.add(world.draw.one(ways));
        if (until < Long.MAX_VALUE && world.draw.chance(0.3)) {
            leaseRewrites.add(world.draw.one(ways));
        }
        leaseRewritesUntil = until;
        world.log("webhook", "Lease writes: " + leaseRewrites);
    }

    /** Writes of the Lease by that pod's sidecars, or by all if it is null, are refused until then. */
    void refuseLeases(String pod, long until) {
        refusedPod = pod;
        refusal = world.draw.one(List.of("403 denied", "422 invalid", "429 too many requests"));
        refusesUntil = until;
        world.log("webhook", "Lease writes of " + (pod == null ? "all" : pod) + ": " + refusal);
    }

    /** From now on everything is stored as it is written. */
    void end() {
        rewritesUntil = 0;
        leaseRewritesUntil = 0;
        refusesUntil = 0;
    }

    /** Whether, since that time, a sidecar could not write to the Lease that it holds it, or not so that others know for how long. */
    boolean hasHinderedSince(long time) {
        return hinderedAt >= time;
    }

    /** Whether writes of the Lease by that pod's sidecars are refused, whatever they write. */
    boolean refusesLeasesOf(SimulatedPod pod) {
        return world.now() < refusesUntil && (refusedPod == null || refusedPod.equals(pod.name()));
    }

    /** The answer to a write of the Lease that is refused; null for any other request. */
    Reply refusal(SimulatedProcess from, Effect.Request request) {
        boolean isWrite = request instanceof Effect.CreateLease || request instanceof Effect.PutLease;
        boolean isRefused = isWrite && refusesLeasesOf(from.pod());
        boolean isReleaseRefused = rewritesLeases(LeaseRewrite.RELEASE_REFUSED) && request instanceof Effect.PutLease put
                && !put.lease().isHeld();
        if (!isRefused && !isReleaseRefused) {
            return null;
        }
        hindered(true);
        boolean hasPause = isRefused && refusal.startsWith("429");
        return new Reply.Failed(isRefused ? refusal : "422 no holder", hasPause ? world.draw.between(1L, 3L) * Simulation.SECOND : 0);
    }

    private boolean rewritesLeases(LeaseRewrite way) {
        return world.now() < leaseRewritesUntil && leaseRewrites.contains(way);
    }

    private void hindered(boolean hinders) {
        world.disturb(0);
        world.coverage.count(Fault.LEASE_WEBHOOK);
        hinderedAt = hinders ? world.now() : hinderedAt;
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
            case LABEL_CAPITALISED ->
                    labels.computeIfPresent(world.mix.leadershipLabel, (key, value) -> value.equals("true") ? "True" : "False");
            case LABELS_REMOVED -> {
                labels.put(world.mix.leadershipLabel, null);
                labels.put(SimulatedServer.PARTICIPATION, null);
            }
            case EPOCH_REMOVED -> annotations.put(SimulatedServer.EPOCH, null);
            case EPOCH_KEPT -> annotations.remove(SimulatedServer.EPOCH);
            case NOTE_ADDED -> annotations.put(SimulatedServer.WEBHOOK_NOTE, Long.toString(world.now()));
        }
        meta.put("labels", labels);
        meta.put("annotations", annotations);
        return Map.of("metadata", meta);
    }

    /** What is stored in place of a sidecar's Lease. */
    Map<String, Object> admitLease(Map<String, Object> body) {
        if (world.now() >= leaseRewritesUntil) {
            return body;
        }
        boolean hidesRenewals = leaseRewrites.contains(LeaseRewrite.CLAIM_REMOVED)
                && !Collections.disjoint(leaseRewrites, LeaseRewrite.HIDE_RENEWALS);
        // client-go does not know the claim, and a Lease without a duration is free for it.
        hindered(hidesRenewals || world.mix.isOn(Fault.CLIENT_GO) || !Collections.disjoint(leaseRewrites, LeaseRewrite.HINDER));
        return changed(body, (spec, annotations) -> leaseRewrites.forEach(way -> rewrite(way, spec, annotations)));
    }

    /** A write of the Lease whose spec and annotations are changed. */
    static Map<String, Object> changed(Map<String, Object> body, BiConsumer<Map<String, Object>, Map<String, Object>> change) {
        Map<String, Object> meta = new LinkedHashMap<>(Json.object(body, "metadata"));
        Map<String, Object> annotations = new LinkedHashMap<>(Json.object(meta, "annotations"));
        Map<String, Object> spec = new LinkedHashMap<>(Json.object(body, "spec"));
        change.accept(spec, annotations);
        meta.put("annotations", annotations);
        return Map.of("metadata", meta, "spec", spec);
    }

    private void rewrite(LeaseRewrite way, Map<String, Object> spec, Map<String, Object> annotations) {
        switch (way) {
            case CLAIM_REMOVED -> annotations.remove(SimulatedServer.CLAIM);
            case TIMES_IN_SECONDS -> {
                spec.computeIfPresent("acquireTime", (field, time) -> ((String) time).substring(0, 20) + "000000Z");
                spec.computeIfPresent("renewTime", (field, time) -> ((String) time).substring(0, 20) + "000000Z");
            }
            case TIMES_OF_SERVER -> {
                spec.put("acquireTime", world.wallTime());
                spec.put("renewTime", world.wallTime());
            }
            case RENEW_TIME_OF_SERVER -> spec.put("renewTime", world.wallTime());
            case ONE_TIME -> {
                spec.put("acquireTime", SimulatedServer.micros(Simulation.EPOCH));
                spec.put("renewTime", SimulatedServer.micros(Simulation.EPOCH));
            }
            case NOTHING_NEW -> {
                rewrite(LeaseRewrite.CLAIM_REMOVED, spec, annotations);
                rewrite(LeaseRewrite.ONE_TIME, spec, annotations);
            }
            case NO_TIMES -> {
                spec.remove("acquireTime");
                spec.remove("renewTime");
            }
            case NO_TRANSITIONS -> spec.put("leaseTransitions", 0L);
            case SHORT_DURATION -> spec.put("leaseDurationSeconds", 1L);
            case NO_DURATION -> spec.remove("leaseDurationSeconds");
            case HOLDER_APPENDED -> spec.computeIfPresent("holderIdentity", (field, holder) -> holder.equals("") ? holder : holder + "_x");
            case HOLDER_REMOVED -> spec.put("holderIdentity", "");
            case RELEASE_REFUSED -> { }
        }
    }
}
