import java.time.Instant;
import java.util.ArrayList;
import java.util.Collections;
import java.util.EnumMap;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/**
 * Does to a simulated group what a {@link Mix} has in store, other than to requests. Half of it comes at random times, half of it shortly
 * after an elector has written something, because that is when it hurts.
 */
final class Chaos {

    private static final List<Optional<Long>> DURATIONS = List.of(Optional.of(1_000_000L), Optional.of(1_000_000L), Optional.of(1L),
            Optional.empty());

    private static final long SHORT_SPELL = Simulation.SECOND / 2;

    private final Simulation world;
    private final Map<Fault, Runnable> deeds = new EnumMap<>(Fault.class);
    private final List<Fault> present;
    private final double afterWrites;
    private final List<StoredLease> formerLeases = new ArrayList<>();

    Chaos(Simulation world) {
        this.world = world;
        happenToProcesses();
        happenToPods();
        happenToTheLease();
        present = deeds.keySet().stream().filter(world.mix::isOn).toList();
        afterWrites = world.draw.chance(0.5) ? world.draw.between(0.0, 0.3) : 0;
    }

    private void happenToProcesses() {
        deeds.put(Fault.CRASH, () -> withProcess(SimulatedProcess::kill));
        deeds.put(Fault.SIDECAR_DEAD, () -> withProcess(this::killForGood));
        deeds.put(Fault.FREEZE, () -> withProcess(this::freeze));
        deeds.put(Fault.SIGTERM, () -> withProcess(p -> world.workload.stopContainer(p)));
        deeds.put(Fault.WALL_CLOCKS, () -> withProcess(SimulatedProcess::setWallClock));
        deeds.put(Fault.WATCH_BROKEN, () -> withProcess(SimulatedProcess::breakWatch));
        deeds.put(Fault.WATCH_SILENT, () -> withProcess(this::silence));
        deeds.put(Fault.PARTITION, () -> withProcess(this::cutOff));
        deeds.put(Fault.OUTAGE, this::outage);
        deeds.put(Fault.ETCD_RESTORED, this::restoreEtcd);
        deeds.put(Fault.POD_WRITES_REWRITTEN, this::rewritePods);
        deeds.put(Fault.LEASE_WEBHOOK, this::meddleWithLeases);
    }

    private void happenToPods() {
        deeds.put(Fault.PATCH_REFUSED, () -> withPod(this::refusePatches));
        deeds.put(Fault.SECOND_PROCESS, () -> withPod(p -> world.workload.startSecond(p)));
        deeds.put(Fault.BUSY_POD, () -> world.others.keepPodsBusy(world.now() + span(SHORT_SPELL, lease())));
        deeds.put(Fault.LABELS_UNDONE, () -> world.others.undoLabels(world.now() + span(lease() / 4, 4 * lease())));
        deeds.put(Fault.POD_DELETED, () -> withPod(p -> world.workload.delete(p)));
        deeds.put(Fault.POD_FORCED, () -> withPod(p -> world.workload.force(p, false)));
        deeds.put(Fault.POD_REPLACED, () -> withPod(p -> world.workload.force(p, true)));
        deeds.put(Fault.POD_FINISHED, () -> withPod(p -> world.workload.finish(p)));
        deeds.put(Fault.ROLLING_UPDATE, () -> world.workload.updateTemplate());
        deeds.put(Fault.POD_UNREADY, () -> withPod(p -> world.workload.setReady(p, !p.isReady())));
        deeds.put(Fault.KEY_STRIPPED, () -> withPod(p -> strip(p, List.of(world.draw.one(keys())))));
        deeds.put(Fault.KEYS_STRIPPED, () -> withPod(p -> strip(p, keys().stream().filter(k -> world.draw.chance(0.6)).toList())));
        deeds.put(Fault.KEY_FORGED, () -> withPod(this::forge));
        deeds.put(Fault.FOREIGN_TRUE, () -> withPod(this::writeTrue));
        deeds.put(Fault.SHARED_LABEL, this::labelOthers);
    }

    private void happenToTheLease() {
        deeds.put(Fault.LEASE_DELETED, () -> world.server.deleteLease());
        deeds.put(Fault.LEASE_EMPTIED, () -> editSpec("holderIdentity", world.draw.chance(0.5) ? "" : null));
        deeds.put(Fault.LEASE_STRANGER, () -> editSpec("holderIdentity", "stranger"));
        deeds.put(Fault.LEASE_DURATION, () -> editSpec("leaseDurationSeconds", world.draw.one(DURATIONS).orElse(null)));
        deeds.put(Fault.LEASE_ACQUIRE_TIME, () -> editSpec("acquireTime", world.draw.chance(0.2) ? null : someTime()));
        deeds.put(Fault.LEASE_CLAIM_REMOVED, () -> editClaim(null));
        deeds.put(Fault.LEASE_CLAIM_FORGED, this::forgeClaim);
        deeds.put(Fault.LEASE_RESTORED, this::restoreLease);
        deeds.put(Fault.LEASE_TOUCHED, this::touchLease);
        deeds.put(Fault.LEASE_JANITOR, () -> world.others.cleanLease(world.now() + span(lease() / 4, 4 * lease())));
        deeds.put(Fault.LEADER_PREFERRED, this::preferLeader);
        deeds.put(Fault.TRANSITIONS_MAX, () -> editSpec("leaseTransitions", (long) Integer.MAX_VALUE));
    }

    void start() {
        for (Fault fault : present) {
            again(fault);
        }
    }

    /** The quiet period begins, but not everybody hears of it: what a group has to bear for good goes on. */
    void goOn() {
        long end = world.now() + world.timeToSettle();
        if (world.mix.isOn(Fault.BUSY_POD)) {
            boolean polls = world.mix.isOn(Fault.NO_WATCH); // and so hears of most versions of a busy pod when they are past
            world.others.keepPodsBusy(polls ? world.now() + world.timeToSettle() / 2 : end);
        }
        if (world.mix.isOn(Fault.LEASE_WEBHOOK) && world.draw.chance(0.5)) {
            world.server.admission().rewriteLeases(Admission.LeaseRewrite.BEARABLE, Long.MAX_VALUE);
        } else if (world.mix.isOn(Fault.LEASE_WEBHOOK) && !world.mix.isOn(Fault.PATCH_REFUSED) && world.draw.chance(0.5)) {
            someFollower().ifPresent(pod -> world.server.admission().refuseLeases(pod.name(), Long.MAX_VALUE));
        }
        if (world.mix.isOn(Fault.LEASE_TOUCHED) && world.draw.chance(0.5)) {
            long touched = world.now() + world.mix.longestLease() * 3 / 2 + Simulation.SECOND;
            world.others.keepTouchingLease(touched);
            world.at(touched, world.invariants::touchedForLong);
        }
        if (world.mix.isOn(Fault.PATCH_REFUSED) && world.draw.chance(0.5)) {
            refuseForGood(end + Simulation.MINUTE);
        }
        if (world.mix.isOn(Fault.BUSY_POD) || world.mix.isOn(Fault.PATCH_REFUSED)) {
            world.at(world.now() + span(Simulation.MS, 3 * Simulation.SECOND / 2), this::stopHolder);
        }
    }

    /** The leader's container is restarted, and another leader has to cope. */
    private void stopHolder() {
        world.workload.processes().stream().filter(p -> world.server.isHolder(p.pod().name())).findFirst()
                .ifPresent(world.workload::stopContainer);
    }

    /**
     * A follower whose patches are refused, and whose pod changes now and then, does not keep the others from leading. With retry-periods
     * that differ, two sidecars of that pod could: while one stands back, the other is sooner there than another pod.
     */
    private void refuseForGood(long end) {
        boolean alike = !world.mix.isOn(Fault.MIXED_SETTINGS);
        someFollower().filter(pod -> alike || world.workload.processesOf(pod) == 1).ifPresent(refused -> {
            world.log("chaos", "patches to " + refused + " are refused for good");
            world.server.refusePatches(refused.name(), end);
            world.others.keepBusy(refused, end, world.mix.retry());
        });
    }

    /** One of several pods that run; it is neither labelled nor announced, as which it would have to be fenced. */
    private Optional<SimulatedPod> someFollower() {
        List<SimulatedPod> up = world.workload.pods().stream().filter(SimulatedPod::isUp).filter(p -> p.process() != null).toList();
        List<SimulatedPod> followers = up.stream().filter(p -> !world.server.pod(p.name()).isLabelledOrAnnounced()).toList();
        return up.size() > 1 && !followers.isEmpty() ? Optional.of(world.draw.one(followers)) : Optional.empty();
    }

    private void again(Fault fault) {
        double mean = lease() / (6 * world.mix.frequency(fault));
        long next = world.now() + (long) (-Math.log(1 - world.draw.between(0.0, 1.0)) * mean);
        world.at(next, () -> {
            act(fault);
            if (!world.isQuiet()) {
                again(fault);
            }
        });
    }

    /** An elector has just written something. */
    void written() {
        if (!present.isEmpty() && world.draw.chance(afterWrites)) {
            Fault fault = world.draw.one(present);
            world.at(world.now() + world.draw.spread(Simulation.MS / 20, Simulation.SECOND / 2), () -> act(fault));
        }
    }

    /** The Lease was in this state. */
    void leaseWas(StoredLease lease) {
        formerLeases.add(lease);
    }

    private void act(Fault fault) {
        if (world.isQuiet()) {
            return;
        }
        world.log("chaos", fault.name());
        world.coverage.count(fault);
        boolean isPlanned = fault == Fault.POD_DELETED || fault == Fault.ROLLING_UPDATE || fault == Fault.SIGTERM || fault == Fault.POD_UNREADY
                || fault == Fault.BUSY_POD;
        if (!isPlanned) {
            world.disturb(0);
        }
        deeds.get(fault).run();
    }

    // --- Whom it hits ------------------------------------------------------------------------------------------------

    private interface Hit<T> {
        void on(T target);
    }

    /** Half of the time the holder of the Lease, if there is one. */
    private void withProcess(Hit<SimulatedProcess> hit) {
        List<SimulatedProcess> all = world.workload.processes();
        StoredLease lease = world.server.lease();
        if (lease != null && world.draw.chance(0.5)) {
            all.stream().filter(p -> p.pod().name().equals(lease.holder())).findFirst().ifPresent(hit::on);
        } else if (!all.isEmpty()) {
            hit.on(world.draw.one(all));
        }
    }

    private void withPod(Hit<SimulatedPod> hit) {
        List<SimulatedPod> all = world.workload.pods().stream().filter(p -> !p.isRemoved()).toList();
        StoredLease lease = world.server.lease();
        if (lease != null && world.draw.chance(0.5)) {
            all.stream().filter(p -> p.name().equals(lease.holder())).findFirst().ifPresent(hit::on);
        } else if (!all.isEmpty()) {
            hit.on(world.draw.one(all));
        }
    }

    private long lease() {
        return world.mix.lease();
    }

    private long span(long low, long high) {
        return world.draw.spread(low, high);
    }

    // --- What it does ------------------------------------------------------------------------------------------------

    private void killForGood(SimulatedProcess process) {
        process.pod().bury();
        process.kill();
    }

    private void freeze(SimulatedProcess process) {
        long end = world.disturbUntil(world.now() + span(Simulation.MS, 3 * lease()));
        process.freeze();
        world.at(end, process::thaw);
    }

    private void silence(SimulatedProcess process) {
        if (world.draw.chance(0.7)) {
            process.silenceWatches();
        } else {
            process.silenceGroupWatch(span(Simulation.MS, 3 * lease()));
        }
    }

    private void cutOff(SimulatedProcess process) {
        long end = world.disturbUntil(world.now() + span(10 * Simulation.MS, 2 * lease()));
        process.cutOff(true);
        world.at(end, () -> process.cutOff(false));
    }

    private void outage() {
        outage(world.disturbUntil(world.now() + span(10 * Simulation.MS, 2 * lease())));
    }

    private void outage(long until) {
        world.outage(until);
        world.workload.processes().forEach(SimulatedProcess::loseWatches);
    }

    private void refusePatches(SimulatedPod pod) {
        long until = world.disturbUntil(world.now() + span(lease() / 4, 4 * lease()));
        world.server.refusePatches(pod.name(), until);
        if (world.draw.chance(0.5)) {
            world.others.keepBusy(pod, until, world.mix.retry());
        }
    }

    private void rewritePods() {
        boolean all = world.draw.chance(0.5);
        long until = world.disturbUntil(world.now() + span(lease() / 4, 3 * lease()));
        withPod(p -> world.server.admission().rewritePods(all ? null : p.name(), until));
    }

    private void meddleWithLeases() {
        long until = world.disturbUntil(world.now() + span(lease() / 4, 4 * lease()));
        Admission admission = world.server.admission();
        if (world.draw.chance(0.6)) {
            admission.rewriteLeases(List.of(Admission.LeaseRewrite.values()), until);
        } else if (world.draw.chance(0.3)) {
            admission.refuseLeases(null, until);
        } else {
            withPod(pod -> admission.refuseLeases(pod.name(), until));
        }
    }

    /** The API server stops, etcd gets a backup back, and the API server starts. */
    private void restoreEtcd() {
        long end = world.disturbUntil(world.now() + span(100 * Simulation.MS, lease()));
        outage(end);
        world.at(end, () -> {
            if (!world.isQuiet() && world.server.restore()) {
                world.log("chaos", "etcd is restored");
                world.coverage.count(Coverage.Deed.RESTORE);
                world.workload.reconcile();
            }
        });
    }

    private void touchLease() {
        world.server.touchLease();
        if (world.draw.chance(0.3)) {
            world.others.keepTouchingLease(world.now() + span(lease(), 4 * lease()));
        }
    }

    private void preferLeader() {
        List<SimulatedPod> pods = world.workload.pods();
        String named = world.draw.chance(0.2) ? null : pods.isEmpty() || world.draw.chance(0.2) ? "web-99" : world.draw.one(pods).name();
        world.server.editLease(Map.of(), Collections.singletonMap(SimulatedServer.PREFERRED, named));
    }

    private List<String> keys() {
        return List.of(world.mix.leadershipLabel, SimulatedServer.PARTICIPATION, SimulatedServer.EPOCH);
    }

    /** Removes these keys; under a shared label not both by which one could know that the pod is of this election. */
    private void strip(SimulatedPod pod, List<String> chosen) {
        Map<String, Object> labels = new HashMap<>();
        Map<String, Object> annotations = new HashMap<>();
        for (String key : chosen) {
            (key.equals(SimulatedServer.EPOCH) ? annotations : labels).put(key, null);
        }
        StoredPod stored = world.server.pod(pod.name());
        boolean loses = stored.participation() == null || labels.containsKey(SimulatedServer.PARTICIPATION);
        boolean losesEpoch = stored.epoch() == null || annotations.containsKey(SimulatedServer.EPOCH);
        if (!world.mix.isOn(Fault.SHARED_LABEL) || !loses || !losesEpoch) {
            world.server.editPod(pod.name(), labels, annotations);
        }
    }

    private void labelOthers() {
        Object value = Boolean.toString(world.draw.chance(0.5));
        world.server.editPod(Workload.OTHERS + world.draw.between(0L, 1L), Map.of(world.mix.leadershipLabel, value), Map.of());
    }

    private void forge(SimulatedPod pod) {
        Draw draw = world.draw;
        switch ((int) draw.between(0L, 2L)) {
            case 0 -> world.server.editPod(pod.name(), Map.of(world.mix.leadershipLabel, draw.one(List.of("false", "", "True"))), Map.of());
            case 1 -> world.server.editPod(pod.name(), Map.of(SimulatedServer.PARTICIPATION, "no"), Map.of());
            default -> world.server.editPod(pod.name(), Map.of(), Map.of(SimulatedServer.EPOCH, someEpoch()));
        }
    }

    private String someEpoch() {
        StoredLease lease = world.server.lease();
        long epoch = world.draw.chance(0.5) && lease != null ? lease.version() : world.draw.between(0L, 100_000L);
        return epoch + (world.draw.chance(0.3) ? " announced" : "");
    }

    private void writeTrue(SimulatedPod pod) {
        if (world.mix.isOn(Fault.SHARED_LABEL) && world.server.pod(pod.name()).participation() == null) {
            return; // nobody could know that the pod is of this election
        }
        world.server.editPod(pod.name(), Map.of(world.mix.leadershipLabel, "true"), Map.of());
    }

    private void editSpec(String field, Object value) {
        world.server.editLease(Collections.singletonMap(field, value), Map.of());
    }

    private void editClaim(String claim) {
        world.server.editLease(Map.of(), Collections.singletonMap(SimulatedServer.CLAIM, claim));
    }

    /** Somebody had saved the Lease, and writes it back, perhaps as a renewal had left it whose answer is lost. */
    private void restoreLease() {
        List<StoredLease> saved = formerLeases.subList(Math.max(0, formerLeases.size() - 8), formerLeases.size());
        if (saved.isEmpty()) {
            return;
        }
        StoredLease former = world.draw.one(saved);
        Map<String, Object> spec = new HashMap<>();
        spec.put("holderIdentity", former.holder());
        spec.put("leaseDurationSeconds", former.seconds());
        spec.put("acquireTime", former.acquireTime() == null ? null : SimulatedServer.micros(former.acquireTime()));
        spec.put("renewTime", former.renewTime() == null ? null : SimulatedServer.micros(former.renewTime()));
        world.server.editLease(spec,
                Collections.singletonMap(SimulatedServer.CLAIM, former.claim() == null ? null : former.claim().toString()));
    }

    private String someTime() {
        return SimulatedServer.micros(Instant.EPOCH.plusSeconds(world.draw.between(0L, 4_000_000_000L)));
    }

    /** A claim that is malformed, of somebody else, of another uid, or a full forgery that gives the Lease to another pod. */
    private void forgeClaim() {
        StoredLease lease = world.server.lease();
        List<SimulatedPod> pods = world.workload.pods();
        if (lease == null || pods.isEmpty()) {
            return;
        }
        SimulatedPod pod = world.draw.one(pods);
        Instant acquired = lease.acquireTime() == null ? Instant.EPOCH : lease.acquireTime();
        Instant renewed = lease.renewTime() == null ? Instant.EPOCH : lease.renewTime();
        switch ((int) world.draw.between(0L, 3L)) {
            case 0 -> editClaim("x/y");
            case 1 -> editClaim(new StoredLease.Claimed(pod.name(), pod.uid(), acquired, renewed).toString());
            case 2 -> editClaim(new StoredLease.Claimed(lease.holder(), "00000000-0000-4000-8000-000000000000", acquired, renewed).toString());
            default -> world.server.editLease(Map.of("holderIdentity", pod.name(),
                            "acquireTime", SimulatedServer.micros(acquired), "renewTime", SimulatedServer.micros(renewed)),
                    Map.of(SimulatedServer.CLAIM, new StoredLease.Claimed(pod.name(), pod.uid(), acquired, renewed).toString()));
        }
    }
}
