import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.stream.Stream;

/** The invariants of the design (section 2), checked after every revision of the API server and at the end of every schedule. */
final class Invariants {

    private final Simulation world;

    // I1
    private final Set<String> labelled = new HashSet<>();
    // I2, second half: by the pod's uid, who labelled it and when, and its latest process.
    private final Map<String, SimulatedProcess> labelledBy = new HashMap<>();
    private final Map<String, Long> labelledAt = new HashMap<>();
    private final Map<String, Long> labelledEpochs = new HashMap<>();
    private long latestEpoch;
    private String latestUid;
    private final Map<String, SimulatedProcess> latest = new HashMap<>();
    // I3
    private final Set<SimulatedProcess> steppedDown = new HashSet<>();
    private final Map<String, Long> foreignWrites = new HashMap<>();
    private final Map<String, Long> toldToGo = new HashMap<>();
    private Move move;
    // I5
    private long renewedAt;
    private boolean edited;
    // At the end
    private SimulatedProcess leader;
    private long changedAt;
    private int podWrites;
    private final Map<SimulatedProcess, Integer> requests = new HashMap<>();

    /** A planned hand-over under way: the leader has offered the Lease and still has its label. */
    private static final class Move {
        final SimulatedProcess from;
        final long toldAt;
        final long releasedAt;
        final boolean expected;
        Effect.Request off;
        SimulatedProcess offBy;

        Move(SimulatedProcess from, long toldAt, long releasedAt, boolean expected) {
            this.from = from;
            this.toldAt = toldAt;
            this.releasedAt = releasedAt;
            this.expected = expected;
        }
    }

    Invariants(Simulation world) {
        this.world = world;
    }

    /** Ends the schedule if this does not hold. */
    void require(boolean holds, String invariant, String text) {
        if (!holds) {
            throw new Violation(invariant, text);
        }
    }

    private boolean foreignTrue() {
        return world.mix.isOn(Fault.FOREIGN_TRUE);
    }

    // --- Pods --------------------------------------------------------------------------------------------------------

    /** A pod has changed; {@code before} or {@code after} is null if it was created or removed. */
    void podRevised(SimulatedServer.Sender sender, Store.Revision revision, Pod before, Pod after) {
        String name = revision.name();
        boolean ours = !name.startsWith(Workload.OTHERS);
        boolean was = ours && before != null && before.isLabelled();
        boolean is = ours && after != null && after.isLabelled();
        if (sender.process() == null) {
            foreignWrites.put(name, world.now());
            if (after != null && after.terminating() && !before.terminating()) {
                toldToGo.putIfAbsent(after.uid(), world.now());
            }
        } else {
            podWrites++;
            onlyOurKeys(sender.process(), revision);
            if (move != null && sender.process() == move.from && !name.equals(move.from.pod().name())) {
                move = null; // a fence that was under way when the old leader was told to go
            }
            world.chaos.written();
        }
        if (is) {
            labelled.add(name);
        } else {
            labelled.remove(name);
        }
        changedAt = is == was ? changedAt : world.now();
        if (is && !was) {
            oneLabel(after);
            leaseBeforeLabel(sender, after);
            moved(sender, after);
        } else if (was && !is) {
            takenOff(sender, before);
        }
    }

    /** I1. */
    private void oneLabel(Pod labelledNow) {
        require(labelled.size() <= 1 || foreignTrue(), "I1", "two pods are labelled: " + labelled + " at version " + labelledNow.version());
    }

    /** I2, first half. */
    private void leaseBeforeLabel(SimulatedServer.Sender sender, Pod after) {
        if (sender.process() == null) {
            return;
        }
        world.coverage.count(Coverage.Deed.PROMOTION);
        SimulatedPod pod = sender.process().pod();
        require(pod.name().equals(after.name()) && pod.uid().equals(after.uid()), "I2", sender.process() + " labels another pod " + after);
        require(sender.process().epochs().contains(after.epoch()), "I2",
                sender.process() + " labels its pod with epoch " + after.epoch() + ", but won the Lease as " + sender.process().epochs());
        labelledBy.put(pod.uid(), sender.process());
        labelledAt.put(pod.uid(), world.now());
        epochGrows(sender.process(), Long.parseLong(after.epoch()));
    }

    /** The epoch, which applications use as a fencing token, never goes back. */
    private void epochGrows(SimulatedProcess process, long epoch) {
        String uid = process.pod().uid();
        require(epoch > latestEpoch || epoch == latestEpoch && uid.equals(latestUid), "epoch",
                process + " is labelled with epoch " + epoch + " after " + latestEpoch);
        latestEpoch = epoch;
        latestUid = uid;
        labelledEpochs.put(uid, epoch);
    }

    /** I7. */
    private void onlyOurKeys(SimulatedProcess process, Store.Revision revision) {
        boolean kept = revision.before() != null && revision.after() != null
                && foreign(revision.before()).equals(foreign(revision.after()));
        require(kept, "I7", process + " changed more than our keys: " + revision.before() + " to " + revision.after());
        require(!revision.name().startsWith(Workload.OTHERS), "I7", process + " writes to a pod of another election: " + revision.name());
    }

    private Map<String, Object> foreign(Map<String, Object> pod) {
        Map<String, Object> meta = new HashMap<>(Json.object(pod, "metadata"));
        Map<String, Object> labels = new HashMap<>(Json.object(meta, "labels"));
        labels.remove(world.mix.leadershipLabel);
        labels.remove(SimulatedServer.participationKey());
        Map<String, Object> annotations = new HashMap<>(Json.object(meta, "annotations"));
        annotations.remove(SimulatedServer.epochKey());
        meta.put("labels", labels);
        meta.put("annotations", annotations);
        meta.remove("resourceVersion");
        Map<String, Object> rest = new HashMap<>(pod);
        rest.put("metadata", meta);
        return rest;
    }

    // --- The label's way ---------------------------------------------------------------------------------------------

    private void released(SimulatedProcess process) {
        world.coverage.count(Coverage.Deed.RELEASE);
        SimulatedPod pod = process.pod();
        Long told = toldToGo.get(pod.uid());
        if (told != null && labelled.contains(pod.name())) {
            move = new Move(process, told, world.now(), hasSuccessor(process, told));
        }
    }

    /** Whether somebody waits for the Lease who can take it at once, so that the label must move and not be dropped. */
    private boolean hasSuccessor(SimulatedProcess from, long told) {
        long long_ = 3 * world.mix.longestLease();
        return world.workload.processes().stream().anyMatch(p -> {
            Pod pod = world.server.pod(p.pod().name());
            return p != from && isCandidate(p) && pod.ready() && pod.hasAllKeys() && p.startedAt() < told - long_
                    && foreignWrites.getOrDefault(pod.name(), 0L) < told - long_ && world.isCalmSince(Math.max(0, told - long_));
        });
    }

    private void takenOff(SimulatedServer.Sender sender, Pod before) {
        SimulatedProcess by = sender.process();
        if (by != null && by.pod().uid().equals(before.uid())) {
            world.coverage.count(Coverage.Deed.SELF_FENCE);
            notDropped(by, before);
        } else if (by != null && labelledEpochs.containsKey(before.uid())) {
            long epoch = Long.parseLong(((Effect.PatchPod) sender.request()).epoch());
            require(epoch > labelledEpochs.get(before.uid()), "I3", by + " of epoch " + epoch + " takes the label off its successor " + before);
        }
        if (move != null && move.from.pod().name().equals(before.name())) {
            move.off = sender.request();
            move.offBy = by;
        }
    }

    /** I3: whoever holds the Lease and is not told to go keeps its label, through outages and restarts, unless it is not Ready. */
    private void notDropped(SimulatedProcess by, Pod before) {
        Lease lease = world.server.lease();
        boolean holds = lease != null && lease.claim() != null && lease.claim().uid().equals(before.uid());
        boolean leaves = by.isTold() || toldToGo.containsKey(before.uid()) || before.finished();
        require(!holds || leaves || steppedDown.contains(by), "I3",
                by + " holds the Lease and takes its own label off without a reason");
    }

    /** I3, at the moment at which somebody is labelled. */
    private void moved(SimulatedServer.Sender sender, Pod after) {
        Move ended = move;
        move = null;
        if (ended == null || sender.process() == null || sender.process() == ended.from || !isUndisturbed(ended, after.name())) {
            return;
        }
        SimulatedProcess to = sender.process();
        boolean takerToldToGo = ended.offBy != null && ended.offBy != ended.from && ended.offBy != to && toldToGo.containsKey(ended.offBy.pod().uid());
        if (ended.offBy == ended.from && !ended.expected || takerToldToGo) {
            return;
        }
        require(ended.offBy == to, "I3", "the label of " + ended.from + " was taken off by " + ended.offBy + ", not by its successor " + to);
        require(to.askedBeforeTrue() == ended.off || foreignWrites.values().stream().anyMatch(t -> t > ended.toldAt), "I3",
                to + " sent " + to.askedBeforeTrue() + " between " + ended.off + " and its promotion");
        require(!ended.expected || world.now() - ended.releasedAt < Simulation.SECOND, "I4", "a planned hand-over took "
                + (world.now() - ended.releasedAt) / Simulation.MS + "ms");
        world.coverage.count(ended.expected ? Coverage.Deed.EXPECTED_HANDOVER : Coverage.Deed.HANDOVER);
    }

    private boolean isUndisturbed(Move ended, String successor) {
        return world.isCalmSince(ended.toldAt) && foreignWrites.getOrDefault(ended.from.pod().name(), 0L) <= ended.toldAt
                && foreignWrites.getOrDefault(successor, 0L) < ended.toldAt;
    }

    // --- The Lease ---------------------------------------------------------------------------------------------------

    /** The Lease has changed; {@code before} or {@code after} is null if it was created or deleted. */
    void leaseRevised(SimulatedServer.Sender sender, Lease before, Lease after) {
        boolean participant = sender.process() != null || sender.program() != null;
        if (participant) {
            if (before != null && before.isHeld() && !edited && !isOwn(sender, before)) {
                notUsurped(sender, before);
            }
            renewedAt = world.now();
            edited = false;
        } else {
            edited = true;
        }
        if (sender.process() != null && before != null && after != null) {
            world.chaos.written();
            noteWrite(sender.process(), before, after);
        } else if (sender.process() != null && after != null && after.claim() != null) {
            sender.process().epochs().add(after.version()); // by creation, which the electors never take for a win
        }
    }

    private void noteWrite(SimulatedProcess process, Lease before, Lease after) {
        if (after.claim() == null) {
            released(process);
        } else if (!after.claim().isSameWin(before.claim())) {
            won(process, before, after);
        }
    }

    private void won(SimulatedProcess process, Lease before, Lease after) {
        world.coverage.count(Coverage.Deed.WIN);
        process.epochs().add(after.version());
        if (!before.isHeld()) {
            return;
        }
        if (isOwn(new SimulatedServer.Sender(process, null, null), before)) {
            world.coverage.count(Coverage.Deed.RESUME);
        } else {
            world.coverage.count(isGone(before.claim()) ? Coverage.Deed.WIN_FROM_GONE : Coverage.Deed.WIN_AFTER_EXPIRY);
        }
    }

    private static boolean isOwn(SimulatedServer.Sender sender, Lease lease) {
        return sender.process() != null ? lease.claim() != null && sender.process().pod().uid().equals(lease.claim().uid())
                : lease.holder().equals(sender.program().identity());
    }

    private boolean isGone(Claim claim) {
        Pod pod = claim == null ? null : world.server.pod(claim.pod());
        return claim != null && (pod == null || !pod.uid().equals(claim.uid()) || pod.finished());
    }

    /** I5: whoever holds the Lease keeps it until its pod is gone, or its last renewal is too old by the clock of whoever takes it. */
    private void notUsurped(SimulatedServer.Sender sender, Lease before) {
        if (isGone(before.claim())) {
            return;
        }
        long age = world.now() - renewedAt;
        long measured = sender.process() == null ? age : sender.process().measured(age);
        long own = sender.process() == null ? world.mix.lease() : sender.process().config().leaseDuration().toNanos();
        Integer recorded = before.durationSeconds();
        long duration = recorded == null || recorded > 3600 ? own : recorded * Simulation.SECOND;
        Object by = sender.process() == null ? "client-go" : sender.process();
        require(measured + Simulation.MS / 1000 >= duration, "I5", by + " took the Lease from " + before.holder() + ", which had renewed it "
                + age / Simulation.MS + "ms ago; recorded are " + duration / Simulation.MS + "ms");
    }

    // --- What electors ask and tell ----------------------------------------------------------------------------------

    /** A process wants to send a request. */
    void asked(SimulatedProcess process, Effect.Request request) {
        process.noteAsked(request);
    }

    /** A process got SIGTERM. */
    void told(SimulatedProcess process) {
        toldToGo.putIfAbsent(process.pod().uid(), world.now());
    }

    /** A container runs anew: what its predecessor was told no longer counts. */
    void started(SimulatedProcess process) {
        latest.put(process.pod().uid(), process);
        Pod pod = world.server.pod(process.pod().name());
        if (pod != null && pod.uid().equals(process.pod().uid()) && !pod.terminating()) {
            toldToGo.remove(pod.uid());
        }
    }

    /** A process has ended by itself. */
    void ended(SimulatedProcess process, String why) {
        long told = toldToGo.getOrDefault(process.pod().uid(), world.now());
        boolean inTime = !why.contains("time limit");
        require(inTime || !world.isCalmSince(told - 2 * world.mix.longestLease()), "exit", process + " " + why + ", without a fault");
    }

    /** A request was executed. */
    void answered(SimulatedProcess process, Effect.Request request, Reply reply) {
        boolean conflict = reply instanceof Reply.Conflict;
        if (request instanceof Effect.PatchPod patch && "true".equals(patch.leadership())) {
            count(conflict, Coverage.Deed.PROMOTION_CONFLICT);
        } else if (request instanceof Effect.PatchPod patch && !patch.name().equals(process.pod().name())) {
            count(reply instanceof Reply.PodIs, Coverage.Deed.FENCE);
            count(conflict, Coverage.Deed.FENCE_CONFLICT);
        } else if (request instanceof Effect.PutLease) {
            count(conflict, Coverage.Deed.LEASE_CONFLICT);
        }
    }

    /** A process has written this line to its log. */
    void logged(SimulatedProcess process, String line) {
        count(line.startsWith("gave the lease back"), Coverage.Deed.GIVE_BACK);
        if (line.endsWith("reason=\"not ready\"")) {
            world.coverage.count(Coverage.Deed.STEP_DOWN);
            steppedDown.add(process);
        }
    }

    private void count(boolean happened, Coverage.Deed deed) {
        if (happened) {
            world.coverage.count(deed);
        }
    }

    // --- The end -----------------------------------------------------------------------------------------------------

    private boolean isCandidate(SimulatedProcess process) {
        Pod pod = world.server.pod(process.pod().name());
        return process.isAlive() && !process.isTold() && pod != null && pod.uid().equals(process.pod().uid()) && pod.isAlive();
    }

    /** I2's second half, I4 and I6, long enough after the last fault. */
    void settled(long quietSince) {
        for (SimulatedProcess process : world.workload.processes()) {
            Pod pod = world.server.pod(process.pod().name());
            require(pod != null && pod.uid().equals(process.pod().uid()) && !pod.finished(), "exit",
                    process + " runs on, but its pod is gone or has finished");
        }
        List<SimulatedProcess> candidates = world.workload.processes().stream().filter(this::isCandidate).toList();
        if (candidates.isEmpty()) {
            world.coverage.count(Coverage.Deed.NOBODY_LEFT);
            nothingLeftBehind();
        } else {
            world.coverage.count(Coverage.Deed.SETTLED);
            world.coverage.settledAfter((changedAt - quietSince) * 1000 / world.mix.longestLease());
            leads(candidates);
            allLabelsAreRight();
        }
        podWrites = 0;
        world.workload.processes().forEach(p -> requests.put(p, p.requests()));
    }

    /** I2, second half, where nobody runs who could take a label away: who ended by itself has left none, neither its own nor one it found. */
    private void nothingLeftBehind() {
        for (String name : labelled) {
            String uid = world.server.pod(name).uid();
            SimulatedProcess last = latest.get(uid);
            boolean knew = last == labelledBy.get(uid) || labelledAt.getOrDefault(uid, Long.MAX_VALUE) < last.startedAt();
            require(last.ended() == null || last.ended().contains("time limit") || !knew || foreignTrue(), "I2",
                    name + " is labelled, nobody runs, and its process ended by itself: " + last.ended());
        }
    }

    /** I4. */
    private void leads(List<SimulatedProcess> candidates) {
        List<SimulatedProcess> leading = candidates.stream().filter(p -> p.role() == Elector.Role.LEADING).toList();
        require(leading.size() == 1, "I4", "these lead: " + leading + " of " + candidates + roles());
        leader = leading.get(0);
        Lease lease = world.server.lease();
        require(lease != null && lease.claim() != null && lease.claim().uid().equals(leader.pod().uid()), "I4",
                leader + " leads, but the Lease is " + lease);
        require(labelled.contains(leader.pod().name()), "I4", leader + " leads, but is not labelled; labelled is " + labelled);
        require(renewedRecently(), "I4", leader + " does not renew the Lease");
    }

    private String roles() {
        return " roles=" + world.workload.processes().stream().map(p -> p + ":" + p.role() + (p.isTold() ? " told" : "")).toList();
    }

    private boolean renewedRecently() {
        return leader.measured(world.now() - renewedAt) <= leader.config().retryPeriod().toNanos() + Simulation.SECOND / 2;
    }

    /** I6. */
    private void allLabelsAreRight() {
        Lease lease = world.server.lease();
        String epoch = world.server.pod(leader.pod().name()).epoch();
        require(leader.epochs().contains(epoch), "I6", leader + " has epoch " + epoch + " on its pod, but won as " + leader.epochs());
        require(lease.durationSeconds() != null && lease.durationSeconds() == leader.config().leaseDuration().toSeconds(), "I6",
                "the Lease records another duration: " + lease);
        ours().forEach(pod -> {
            boolean leads = pod.name().equals(leader.pod().name());
            boolean right = pod.finished() ? !pod.isLabelled() : Boolean.toString(leads).equals(pod.leadership())
                    && "true".equals(pod.participation()) && epoch.equals(pod.epoch());
            require(right, "I6", leader + " leads with epoch " + epoch + ", but there is " + pod);
        });
    }

    /** Pods that take part, or took part, or are labelled. */
    private Stream<Pod> ours() {
        return world.server.pods().values().stream().filter(p -> !p.name().startsWith(Workload.OTHERS))
                .filter(p -> p.participation() != null || p.epoch() != null || p.isLabelled());
    }

    /** A while later: nobody has written to a pod, nobody but the leader has asked for anything. */
    void still(long nanos) {
        require(podWrites == 0, "I6", "pods are written to without a reason: " + podWrites + " times");
        if (leader == null) {
            return;
        }
        require(leader.role() == Elector.Role.LEADING && renewedRecently(), "I4", leader + " no longer leads, without a reason");
        requests.forEach((process, before) -> {
            long asked = process.requests() - before;
            long most = process == leader ? process.measured(nanos) / process.config().retryPeriod().toNanos() + 1 : 0;
            require(asked <= most || !process.watchesAreLive(), "idle", process + " sent " + asked + " requests for no reason");
        });
    }
}
