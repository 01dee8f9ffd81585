import java.util.EnumSet;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;

/** How the label gets from one pod to the next: by two adjacent requests of the new leader (I3), soon (I4), and not without need. */
final class HandoverInvariants {

    /** With these, somebody may act on what has long changed. */
    private static final Set<Fault> LATE_NEWS = EnumSet.of(Fault.SLOW, Fault.LATE, Fault.LOST_REQUEST, Fault.LOST_REPLY, Fault.SERVER_ERROR,
            Fault.STARVED, Fault.FREEZE, Fault.WATCH_LAG, Fault.WATCH_BROKEN, Fault.WATCH_SILENT, Fault.OUTAGE, Fault.PARTITION,
            Fault.ETCD_RESTORED, Fault.RETRY_AFTER, Fault.GET_STALE);

    /** With these, a label cannot be taken off at once, or is another process's. */
    private static final Set<Fault> KEEP_LABELS = EnumSet.of(Fault.PATCH_REFUSED, Fault.POD_WRITES_REWRITTEN, Fault.BUSY_POD, Fault.RESET,
            Fault.LABELS_UNDONE, Fault.FOREIGN_TRUE, Fault.SECOND_PROCESS, Fault.POD_REPLACED, Fault.POD_FORCED);

    /** A webhook and what is planned. */
    private static final Set<Fault> REWRITTEN = EnumSet.of(Fault.LEASE_WEBHOOK, Fault.SIGTERM, Fault.POD_DELETED, Fault.WIND_DOWN,
            Fault.MIXED_SETTINGS);

    private final Simulation world;
    private final LabelInvariants labels;
    /** When somebody other than a sidecar wrote to a pod last, by its name. */
    private final Map<String, Long> foreignWrites = new HashMap<>();
    /** When somebody wrote to a pod last who is neither the one who leaves nor its successor. */
    private long othersWroteAt;
    /** Since when a pod is to go, by SIGTERM or deletion, by its uid. */
    private final Map<String, Long> toldToGo = new HashMap<>();
    /** Uids of pods that were labelled when they were deleted. */
    private final Set<String> serving = new HashSet<>();
    private final Set<SimulatedProcess> steppedDown = new HashSet<>();
    private long unheldSince;
    private long longestUnheld;
    /** When the Lease was last won. */
    private long wonAt;
    /** When the holder last renewed it. */
    private long renewedAt;
    private Move move;

    /** A planned hand-over under way: the leader has offered the Lease and still has its label. */
    private static final class Move {
        final SimulatedProcess from;
        final long toldAt;
        final long releasedAt;
        /** Those who can take over at once: while there is one, the label may not be dropped. */
        final List<SimulatedProcess> successors;
        Effect.Request off;
        SimulatedProcess offBy;
        /** Whether somebody else had labelled another pod as well, which had to be fenced, too. */
        boolean wasAlone = true;

        Move(SimulatedProcess from, long toldAt, long releasedAt, List<SimulatedProcess> successors) {
            this.from = from;
            this.toldAt = toldAt;
            this.releasedAt = releasedAt;
            this.successors = successors;
        }

        /** Whether one of the successors has not been told to go, too. */
        boolean isExpected() {
            return successors.stream().anyMatch(SimulatedProcess::isCandidate);
        }
    }

    HandoverInvariants(Simulation world, LabelInvariants labels) {
        this.world = world;
        this.labels = labels;
    }

    /** Whether news may come late in this schedule. */
    static boolean isNewsLate(Simulation world) {
        return world.server.history() > 0 || LATE_NEWS.stream().anyMatch(world.mix::isOn);
    }

    // --- What precedes it --------------------------------------------------------------------------------------------

    /** Somebody else has written to a pod. */
    void foreignWrite(String name, StoredPod before, StoredPod after, boolean wasLabelled) {
        othersWroteAt = world.now();
        foreignWrites.put(name, world.now());
        if (after != null && before != null && after.terminating() && !before.terminating()) {
            told(after.uid());
            if (wasLabelled) {
                serving.add(after.uid());
            }
        }
    }

    /** A sidecar has written to a pod. */
    void written(SimulatedProcess process, String pod) {
        if (process.pod().name().equals(pod) && !process.isLeading()) {
            othersWroteAt = world.now();
        }
    }

    /** The pod of that uid, or its sidecar, is to go. */
    void told(String uid) {
        if (toldToGo.putIfAbsent(uid, world.now()) == null) {
            world.at(world.now() + Simulation.SECOND, () -> handsOverSoon(uid));
        }
    }

    /** What a container was told does not count for the next. */
    void started(SimulatedProcess process) {
        StoredPod pod = world.server.pod(process.pod().name());
        if (pod != null && pod.uid().equals(process.pod().uid()) && !pod.terminating()) {
            toldToGo.remove(pod.uid());
        }
    }

    /** etcd was restored. */
    void restored() {
        move = null;
    }

    /** A process has given the Lease back, for whatever reason. */
    void steppedDown(SimulatedProcess process) {
        steppedDown.add(process);
    }

    void leaseRevised(StoredLease before, StoredLease after) {
        if (after != null && after.writer() != null && (before == null || !after.writer().isSameWin(before.writer()))) {
            wonAt = world.now();
            renewedAt = Long.MAX_VALUE;
        } else if (before != null && after != null && after.writer() != null && !after.writer().equals(before.writer())) {
            renewedAt = world.now();
        }
        boolean was = before != null && before.isHeld();
        boolean is = after != null && after.isHeld();
        if (was && !is) {
            unheldSince = world.now();
        } else if (is && !was) {
            longestUnheld = Math.max(longestUnheld, world.now() - unheldSince);
        }
    }

    /** A second after a leader was told to go it no longer holds the Lease, unless it waits for its application to exit. */
    private void handsOverSoon(String uid) {
        StoredLease lease = world.server.lease();
        Long told = toldToGo.get(uid);
        boolean holds = told != null && lease != null && lease.writer() != null && lease.writer().uid().equals(uid);
        if (!holds || !world.isCalmSince(told - world.mix.longestLease())) {
            return;
        }
        for (SimulatedProcess process : world.workload.processes()) {
            boolean waits = process.config().handover() == Handover.AFTER_EXIT && !process.isTold();
            boolean isOther = process.pod().process() != process && !process.isTold();
            Invariants.require(waits || isOther || !process.pod().uid().equals(uid), "I4",
                    () -> process + " was told to go, but keeps the Lease");
        }
    }

    /** Whether nothing that was not planned has happened since, other than that what is written to the Lease was changed. */
    private boolean isOnlyRewrittenSince(long time) {
        return world.mix.hasOnly(REWRITTEN) && !world.server.admission().hasHinderedSince(time);
    }

    // --- The Lease is offered ----------------------------------------------------------------------------------------

    /** A process has released the Lease. */
    void released(SimulatedProcess process) {
        Long told = toldToGo.get(process.pod().uid());
        if (told != null && labels.labelled().contains(process.pod().name())) {
            move = new Move(process, told, world.now(), successors(process, told));
        }
    }

    /** Those who wait for the Lease, undisturbed and for long, and can take it at once. */
    private List<SimulatedProcess> successors(SimulatedProcess from, long told) {
        long since = told - 2 * world.mix.longestLease();
        return since <= 0 || !world.isCalmSince(since) ? List.of() : world.workload.processes().stream().filter(p -> {
            StoredPod pod = world.server.pod(p.pod().name());
            return p != from && p.isCandidate() && pod.ready() && pod.hasAllKeys() && p.startedAt() < since
                    && foreignWrites.getOrDefault(pod.name(), 0L) < since;
        }).toList();
    }

    /**
     * Who holds the Lease has no claim, so it fences nobody: a pod that hands over takes its label off at once. A record of the own pod,
     * whose claim a webhook removed, passes for its own.
     */
    void lostToStranger(StoredLease after) {
        if (after == null || !after.isHeld() || after.claim() != null || after.writer() != null || isNewsLate(world)) {
            return;
        }
        for (SimulatedProcess process : world.workload.processes()) {
            String pod = process.pod().name();
            boolean isOther = !pod.equals(after.holder());
            if (isOther && toldToGo.containsKey(process.pod().uid()) && process.isReleasing() && labels.labelled().contains(pod)) {
                world.at(world.now() + Simulation.SECOND, () -> hasGone(process, after));
            }
        }
    }

    private void hasGone(SimulatedProcess process, StoredLease stranger) {
        StoredLease lease = world.server.lease();
        // A Lease that names a pod may have had its claim for a while in between.
        boolean same = lease != null && lease.claim() == null && lease.holder().equals(stranger.holder())
                && (lease.version() == stranger.version() || world.server.pod(lease.holder()) == null);
        boolean keeps = process.isAlive() && process.isReleasing() && labels.labelled().contains(process.pod().name());
        boolean excused = world.mix.isOn(Fault.PATCH_REFUSED) || world.mix.isOn(Fault.POD_WRITES_REWRITTEN)
                || foreignWrites.getOrDefault(process.pod().name(), 0L) > world.now() - Simulation.SECOND;
        Invariants.require(!same || !keeps || excused, "I3",
                () -> process + " keeps its label, though " + stranger.holder() + " has the Lease and will not fence it");
    }

    // --- The label is taken off --------------------------------------------------------------------------------------

    /** A labelled pod no longer is. */
    void takenOff(SimulatedServer.Sender sender, StoredPod before) {
        SimulatedProcess by = sender.process();
        if (by != null && !"false".equals(((Effect.PatchPod) sender.request()).leadership())) {
            return; // a webhook did it
        }
        if (by != null && by.pod().uid().equals(before.uid())) {
            world.coverage.count(Coverage.Deed.SELF_FENCE);
            notDropped(by, before);
        } else if (by != null && labels.latest(before.uid()) != null) {
            String written = ((Effect.PatchPod) sender.request()).epoch();
            Invariants.require(written.matches("\\d+"), "I2", () -> by + " takes " + before + " for its own and fences it");
            long epoch = Long.parseLong(written);
            boolean isOutdated = by.knownHistory() != world.server.history(); // it goes on as what it was before etcd was restored
            Invariants.require(epoch > labels.latest(before.uid()).epoch() || isOutdated, "I3",
                    () -> by + " of epoch " + epoch + " takes the label off its successor " + before);
        }
        if (move != null && move.from.pod().name().equals(before.name())) {
            move.off = sender.request();
            move.offBy = by;
            move.wasAlone = labels.labelled().isEmpty();
        }
    }

    /**
     * I3: whoever is not told to go and does not step down keeps its label, whether it leads or not, through restarts and edits of the
     * Lease. Only when nobody has held the Lease for a lease-duration it takes it off. A process that leaves knows another one for its pod by
     * a renewal alone, since an older Lease may have been written back.
     */
    private void notDropped(SimulatedProcess by, StoredPod before) {
        StoredLease held = world.server.lease();
        LabelInvariants.Labelling labelling = labels.latest(before.uid());
        boolean isOthers = labelling != null && labelling.by() != by && labelling.by().isLeading() && labelling.by().isCandidate()
                && before.isAlive() && held != null && held.claim() != null && held.claim().uid().equals(before.uid());
        boolean isClaimHidden = world.mix.isOn(Fault.LEASE_CLAIM_REMOVED) || world.mix.isOn(Fault.LEASE_WEBHOOK)
                || world.mix.isOn(Fault.LEASE_CLAIM_FORGED);
        boolean leaves = by.isTold() || toldToGo.containsKey(before.uid());
        boolean isKnown = world.now() - (leaves ? renewedAt : wonAt) > 100 * Simulation.MS;
        Invariants.require(!isOthers || !isKnown || isClaimHidden || isNewsLate(world) || by.isPolling(), "I3",
                () -> by + " takes off the label of " + labelling.by() + ", which leads");
        boolean mayGo = leaves || before.finished() || steppedDown.contains(by) || isNewsLate(world);
        boolean isHeld = world.server.lease() != null && world.server.lease().isHeld();
        long unheld = Math.max(longestUnheld, isHeld ? 0 : world.now() - unheldSince);
        Invariants.require(mayGo || by.measured(unheld) >= by.config().leaseDuration().toNanos(), "I3",
                () -> by + " takes its own label off without a reason");
    }

    // --- The label is put on -----------------------------------------------------------------------------------------

    /** A pod has been labelled. */
    void putOn(SimulatedServer.Sender sender, StoredPod after) {
        notBeforeExit(after);
        Move ended = move;
        move = null;
        if (ended != null && sender.process() != null && sender.process() != ended.from && isUndisturbed(ended, after.name())) {
            moved(ended, sender.process(), ((Effect.PatchPod) sender.request()).epoch());
        }
    }

    /** With after-exit, the application of a leader whose pod was deleted has exited before the next pod is labelled. */
    private void notBeforeExit(StoredPod after) {
        for (SimulatedProcess process : world.workload.processes()) {
            String uid = process.pod().uid();
            boolean runs = serving.contains(uid) && process.config().handover() == Handover.AFTER_EXIT && !process.isTold();
            Invariants.require(!runs || uid.equals(after.uid()) || !world.isCalmSince(toldToGo.get(uid) - world.mix.longestLease()),
                    "after-exit", () -> after.name() + " is labelled while the application of " + process + " may still run");
        }
    }

    private boolean isUndisturbed(Move ended, String successor) {
        return world.isCalmSince(ended.toldAt) && foreignWrites.getOrDefault(ended.from.pod().name(), 0L) <= ended.toldAt
                && foreignWrites.getOrDefault(successor, 0L) < ended.toldAt;
    }

    /** I3: off and on are adjacent requests of the new leader, and adjacent changes of labels. */
    private void moved(Move ended, SimulatedProcess to, String epoch) {
        SimulatedProcess by = ended.offBy;
        boolean byThird = by != null && by != ended.from && by != to;
        if (by == ended.from && !ended.isExpected() || byThird && (toldToGo.containsKey(by.pod().uid()) || by.sinceGivingBack() >= 0)) {
            return; // nobody could be expected to take over, or whoever took over was told to go as well, or could not be labelled
        }
        Invariants.require(by == to, "I3", () -> "the label of " + ended.from + " was taken off by " + by + ", not by its successor " + to);
        boolean joined = othersWroteAt > ended.toldAt || !ended.wasAlone; // a pod that joins meanwhile must be fenced, too
        boolean wonAnew = ended.off instanceof Effect.PatchPod off && !epoch.equals(off.epoch());
        boolean fencesMore = joined || wonAnew;
        Invariants.require(fencesMore || to.patchedBeforeTrue() == ended.off, "I3",
                () -> to + " wrote " + to.patchedBeforeTrue() + " between " + ended.off + " and its promotion");
        boolean severalWere = world.mix.isOn(Fault.FOREIGN_TRUE); // labelled: these are fenced at the same time
        boolean mayRenewAgain = world.mix.isOn(Fault.RETRY_AFTER) // it had to wait
                || to.startedAt() > ended.toldAt - Simulation.SECOND; // it has read the Lease, and its watch then showed an older one
        boolean hadToRenew = mayRenewAgain && to.askedBeforeTrue() instanceof Effect.PutLease;
        Invariants.require(fencesMore || severalWere || hadToRenew || to.askedBeforeTrue() == ended.off, "I3",
                () -> to + " sent " + to.askedBeforeTrue() + " between " + ended.off + " and its promotion");
        long took = world.now() - ended.releasedAt;
        boolean refused = world.server.refusesAnyPatch(); // until then, that pod blocks it
        boolean isPassedOn = !steppedDown.isEmpty(); // by a pod that is not Ready, to one whose sidecar may have ended
        Invariants.require(!ended.isExpected() || refused || isPassedOn || took < Simulation.SECOND, "I4",
                () -> "a hand-over took " + took / Simulation.MS + "ms");
        world.coverage.count(ended.isExpected() ? Coverage.Deed.EXPECTED_HANDOVER : Coverage.Deed.HANDOVER);
    }

    // --- The process ends --------------------------------------------------------------------------------------------

    /** Without a fault no hand-over is left unfinished. */
    void ended(SimulatedProcess process, String why) {
        StoredLease lease = world.server.lease();
        boolean holds = lease != null && lease.writer() != null && process.hasTriedAt(lease.writer().acquireTime());
        Invariants.require(!holds || !process.isTold() || !isOnlyRewrittenSince(world.now() - world.mix.longestLease()), "I4",
                () -> process + " " + why + ", and has not released the Lease");
        boolean keeps = why.contains("exit timeout") && labels.labelled().contains(process.pod().name());
        boolean excused = isNewsLate(world) || KEEP_LABELS.stream().anyMatch(world.mix::isOn);
        Invariants.require(!keeps || excused, "I3", () -> process + " " + why + ", and has not taken its label off");
        long told = toldToGo.getOrDefault(process.pod().uid(), world.now());
        Invariants.require(!why.contains("exit timeout") || !world.isCalmSince(told - 2 * world.mix.longestLease()), "exit",
                () -> process + " " + why + ", without a fault");
    }
}
