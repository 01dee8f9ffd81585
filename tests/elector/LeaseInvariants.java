import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/** Who holds the Lease: nobody is deposed who renews in time (I5). */
final class LeaseInvariants {

    private final Simulation world;
    private final LabelInvariants labels;
    private long renewedAt;
    /** Whether somebody who does not take part has written to it since. */
    private boolean edited;
    /** The sidecar that wrote it last; null if somebody else did since. */
    private SimulatedProcess writer;
    /** Since when that sidecar has held it, won once or anew. */
    private long writerSince;
    private long wonAt;
    /** The epoch of the latest win, and its claim; null if somebody else has held it since. */
    private String latestWin;
    private StoredLease.Claimed latestClaim;
    /** The pod that holds it, or held it last, and since when; null and 0 after etcd was restored, for who knows. */
    private String leadingPod = "";
    private long leadingSince;
    /** Since when nobody holds it; that somebody else gave it a holder for a moment may have been missed. */
    private long freeSince;
    /** The same, whoever gave it that holder. */
    private long unheldSince;
    private long restoredAt = -1;
    /** Since when it names the preferred leader that it names. */
    private long preferredSince;
    /** Since when a pod is Ready, alive and has all keys, by its name. */
    private final Map<String, Long> readySince = new HashMap<>();
    /** When a pod was last so no longer: another one may be the newest since. */
    private long latestLeft;

    LeaseInvariants(Simulation world, LabelInvariants labels) {
        this.world = world;
        this.labels = labels;
    }

    /** When a participant wrote it last. */
    long renewedAt() {
        return renewedAt;
    }

    /** The Lease has changed; {@code before} or {@code after} is null if it was created or deleted. */
    void revised(SimulatedServer.Sender sender, StoredLease before, StoredLease after) {
        boolean held = before != null && before.isHeld();
        long unrenewed = world.now() - renewedAt;
        boolean isWin = sender.claim() != null && (before == null || !sender.claim().isSameWin(before.writer()));
        if (isWin) {
            won(sender.process(), before);
        }
        if (held && sender.process() != null && !(after != null && after.isHeld())) {
            keptUntilExit(sender.process());
        }
        if (sender.isParticipant()) {
            if (held && !edited && !sender.holds(before)) {
                notUsurped(sender, before);
            }
            renewedAt = world.now();
        }
        preferredSince = before != null && after != null && after.preferred().equals(before.preferred()) ? preferredSince : world.now();
        freeSince = held && !edited ? world.now() : freeSince;
        unheldSince = held ? world.now() : unheldSince;
        edited = !sender.isParticipant();
        SimulatedProcess previous = writer;
        writer = sender.process() != null ? sender.process() : after != null && after.hasRecordOf(before) ? writer : null;
        boolean isHeldOn = held && writer != null && writer == previous && before.holder().equals(writer.pod().name())
                && isBeforeDeadline(writer, unrenewed);
        writerSince = isHeldOn ? writerSince : world.now();
        if (after != null && after.isHeld() && !after.holder().equals(leadingPod)) {
            leadingSince = leadingPod == null ? 0 : world.now();
            leadingPod = after.holder();
        }
        latestClaim = isWin ? sender.claim() : latestClaim;
        boolean isOther = after != null && after.isHeld() && (after.writer() == null || !after.writer().isSameWin(latestClaim));
        latestWin = isWin ? Long.toString(after.version()) : isOther ? null : latestWin;
        if (sender.process() != null && before != null && after != null && after.writer() != null) {
            countWin(sender, before, after);
        }
    }

    /** When the holder last released the Lease, or it was emptied. */
    long freeSince() {
        return freeSince;
    }

    /** etcd was restored: whoever holds the Lease now may not know it. */
    void restored() {
        edited = true;
        writer = null;
        latestWin = null;
        freeSince = world.now();
        unheldSince = world.now();
        leadingPod = null;
        restoredAt = world.now();
        readySince.clear();
        world.server.pods().forEach(this::podRevised);
    }

    // --- Who may win, and when ---------------------------------------------------------------------------------------

    private void won(SimulatedProcess process, StoredLease before) {
        boolean held = before != null && before.isHeld();
        if (held && !edited) {
            notAnew(process, before);
            notFromTheOtherProcess(process, before);
        }
        if (!held) {
            lastHolderWaits(process, before == null ? "" : before.preferred());
            olderRevisionWaits(process);
            othersWaitForPreferred(process, before == null ? "" : before.preferred());
        }
        standsBack(process);
        wonAt = world.now();
        int wins = process.wins().size() + 1;
        for (long allowed : List.of(Simulation.SECOND, 5 * Simulation.SECOND)) {
            world.at(world.now() + allowed, () -> isLabelled(process, wins, allowed));
        }
    }

    /** A leader that knows of its latest renewal keeps its epoch, also if its wall clock is set back: it does not win what it holds. */
    private void notAnew(SimulatedProcess process, StoredLease before) {
        Invariants.require(process != writer || !process.knowsWin(latestWin) || before.claim() == null
                || !before.renewTime().equals(process.renewedAs()) || world.server.history() > 0, "epoch",
                () -> process + " wins the Lease anew, which it holds, and which nobody else has written");
    }

    /**
     * A claim of the own pod is that of a predecessor only if it was there when a process first saw the Lease. A process that sees that etcd
     * was restored forgets the Lease, and sees it for the first time again. Two processes of a pod that try in the same microsecond cannot be
     * told apart.
     */
    private void notFromTheOtherProcess(SimulatedProcess process, StoredLease before) {
        boolean other = writer != null && writer != process && writer.pod() == process.pod() && writer.isAlive();
        long age = process.measured(world.now() - renewedAt);
        boolean expired = before.seconds() == null || age + Simulation.MS >= before.seconds() * Simulation.SECOND;
        boolean isExcused = process.startedAt() <= restoredAt || process.hasTriedAt(before.acquireTime())
                || before.claim() == null && world.mix.isOn(Fault.LEASE_WEBHOOK); // which can give all wins the same times
        Invariants.require(!other || expired || isExcused || wonAt <= process.firstSawLease(), "I5",
                () -> process + " takes the Lease from " + writer + ", a process of the same pod that has won it meanwhile");
    }

    /**
     * The last holder of a Lease waits one retry-period more than others, and so does a labelled pod that has never seen a holder; half of it
     * if another is preferred, since all others wait for that one; not at all if it is preferred itself. After etcd was restored nobody
     * knows of the holders that are lost.
     */
    private void lastHolderWaits(SimulatedProcess process, String preferred) {
        String pod = process.pod().name();
        if (pod.equals(preferred) || restoredAt >= 0) {
            return;
        }
        long wait = process.config().retryPeriod().toNanos() / (preferred.isEmpty() ? 1 : 2);
        boolean wasHolder = process.knowsWin(latestWin);
        long since = Math.max(freeSince, process.startedAt());
        boolean neverSawHolder = unheldSince < process.startedAt() && labels.labelledSince(pod) < process.startedAt()
                && labels.labelled().size() == 1 && !world.mix.isOn(Fault.FOREIGN_TRUE);
        long waited = process.measured(world.now() - since);
        Invariants.require(!wasHolder && !neverSawHolder || waited + Simulation.MS / 1000 >= wait,
                "last holder", () -> process + " takes the Lease again " + waited / Simulation.MS + "ms after it was free");
    }

    /**
     * A Lease that nobody holds is left to the preferred leader for half a retry-period by all who have long known it, if it can lead. Who
     * missed the latest holder, because its watch was broken, may think that the preferred leader itself has just released the Lease.
     */
    private void othersWaitForPreferred(SimulatedProcess process, String preferred) {
        long known = Math.max(Math.max(Math.max(preferredSince, leadingSince), latestLeft),
                Math.max(readySince.getOrDefault(preferred, Long.MAX_VALUE), process.startedAt()));
        boolean isExcused = known > freeSince - Simulation.SECOND || preferred.equals(process.pod().name()) || preferred.equals(leadingPod)
                || leadingPod == null || leadingPod.isEmpty() || world.mix.isOn(Fault.ROLLING_UPDATE) || process.isPolling()
                || HandoverInvariants.isNewsLate(world);
        long waited = process.measured(world.now() - freeSince);
        Invariants.require(isExcused || waited + Simulation.MS / 1000 >= process.config().retryPeriod().toNanos() / 2, "preferred",
                () -> process + " takes the Lease before " + preferred + ", which is preferred, could");
    }

    /** A pod changed: since when can it be ranked as one that is Ready? Null if it was removed. */
    void podRevised(String name, StoredPod pod) {
        if (pod != null && pod.isAlive() && pod.ready() && pod.hasAllKeys()) {
            readySince.putIfAbsent(name, world.now());
        } else if (readySince.remove(name) != null) {
            latestLeft = world.now();
        }
    }

    /** A pod of an older revision waits one retry-period more than others, if it has long known a Ready pod of the newest. */
    private void olderRevisionWaits(SimulatedProcess process) {
        StoredPod own = world.server.pod(process.pod().name());
        StoredPod newest = world.server.pods().values().stream().filter(p -> !p.name().startsWith(Workload.OTHERS) && p.isAlive() && p.ready())
                .max(Comparator.comparing(StoredPod::created).thenComparing(StoredPod::name)).orElse(own);
        boolean isOlder = own != null && newest != null && !own.revision().equals(newest.revision());
        long newestSince = !isOlder ? 0 : Math.max(readySince.getOrDefault(newest.name(), Long.MAX_VALUE), latestLeft);
        long known = Math.max(newestSince, process.startedAt());
        boolean late = HandoverInvariants.isNewsLate(world) || process.isPolling();
        Invariants.require(!isOlder || late || known > freeSince - Simulation.SECOND
                        || process.measured(world.now() - freeSince) + Simulation.MS / 1000 >= process.config().retryPeriod().toNanos(),
                "revision", () -> process + " of revision " + own.revision() + " takes the Lease before " + newest + " could");
    }

    /** With after-exit, a leader whose pod was deleted keeps until SIGTERM what it holds, also where somebody touches it. */
    private void keptUntilExit(SimulatedProcess process) {
        StoredPod own = world.server.pod(process.pod().name());
        boolean waits = process.config().handover() == Handover.AFTER_EXIT && own != null && own.uid().equals(process.pod().uid())
                && own.terminating() && !own.finished();
        boolean led = process == writer && labels.latest(process.pod().uid()) != null;
        Invariants.require(!waits || !led || process.isTold() || !process.isStopping(), "after-exit",
                () -> process + " releases the Lease before its application has exited");
    }

    /** Whether a leader surely was one still, by its own clock and deadline, when it had not renewed for this long. */
    private static boolean isBeforeDeadline(SimulatedProcess leader, long unrenewed) {
        return leader.measured(unrenewed + Simulation.SECOND / 2) < leader.config().renewDeadline().toNanos();
    }

    /** I4: a leader that is not labelled for a lease-duration gives the Lease back, also if it wins it anew. It has been so since now. */
    void leadsInVain(SimulatedProcess process) {
        long since = world.now();
        long allowed = process.config().leaseDuration().multipliedBy(6).dividedBy(5)
                .plus(process.config().retryPeriod().multipliedBy(2)).toNanos();
        world.at(since + allowed + Simulation.SECOND, () -> {
            StoredPod own = world.server.pod(process.pod().name());
            boolean waits = own != null && own.terminating() && process.config().handover() == Handover.AFTER_EXIT;
            boolean vain = process.isAlive() && process.isLeading() && process == writer && writerSince <= since && !waits
                    && isBeforeDeadline(process, world.now() - renewedAt) && labels.unlabelledSince(process.pod().name()) <= since;
            Invariants.require(!vain || HandoverInvariants.isNewsLate(world), "I4",
                    () -> process + " holds the Lease, but has not been labelled for " + allowed / Simulation.MS + "ms");
        });
    }

    /** Who gave the Lease back because it could not be labelled leaves it to others for a lease-duration. */
    private void standsBack(SimulatedProcess process) {
        long since = process.sinceGivingBack();
        Invariants.require(since < 0 || since >= process.config().leaseDuration().toNanos(), "stands back",
                () -> process + " takes the Lease " + since / Simulation.MS + "ms after it gave it back");
    }

    /** A leader begins to release the Lease for the preferred one: not sooner than a lease-duration after it got it from another pod. */
    void offers(SimulatedProcess process) {
        boolean leads = process == writer;
        long led = process.measured(world.now() - leadingSince);
        boolean isKnown = !process.isPolling() && !HandoverInvariants.isNewsLate(world);
        Invariants.require(!leads || !isKnown || led + Simulation.MS / 1000 >= process.config().leaseDuration().toNanos(), "preferred",
                () -> process + " offers the Lease " + led / Simulation.MS + "ms after the leader has changed");
    }

    /**
     * I4: who wins and is not disturbed is labelled within a second; or within five where its own pod is busy, too, an operator has just
     * made it spend the budget of requests, or it still waits because a patch was refused. Where it is busy and without a budget it may
     * take longer, because half of the few requests meet a conflict.
     */
    private void isLabelled(SimulatedProcess process, int wins, long allowed) {
        boolean isBusy = !world.others.hasSparedLeaderSince(world.now() - allowed);
        boolean isSpent = world.others.hasUndoneSince(world.now() - allowed - 15 * process.config().retryPeriod().toNanos());
        boolean isPausing = world.server.hasRefusedPatchSince(world.now() - allowed - 2 * process.config().retryPeriod().toNanos());
        if (allowed == Simulation.SECOND ? isBusy || isSpent || isPausing : isBusy && isSpent) {
            return;
        }
        StoredLease lease = world.server.lease();
        boolean holds = process.isAlive() && process.isLeading() && process.wins().size() == wins && lease != null
                && lease.writer() != null && lease.writer().uid().equals(process.pod().uid());
        boolean late = holds && process.isCandidate() && world.isCalmSince(world.now() - allowed) && !HandoverInvariants.isNewsLate(world);
        Invariants.require(!late || labels.labelled().contains(process.pod().name()) || isRefusing(), "I4",
                () -> process + " won the Lease " + allowed / Simulation.SECOND + "s ago and is not labelled");
    }

    private boolean isRefusing() {
        return world.workload.pods().stream().anyMatch(p -> world.server.refusesPatches(p.name()));
    }

    private void countWin(SimulatedServer.Sender sender, StoredLease before, StoredLease after) {
        boolean won = !after.writer().isSameWin(before.writer());
        boolean taken = won && before.isHeld();
        world.coverage.countIf(won, Coverage.Deed.WIN);
        world.coverage.countIf(taken && sender.holds(before), Coverage.Deed.RESUME);
        world.coverage.countIf(taken && !sender.holds(before) && isGone(before.writer()), Coverage.Deed.WIN_FROM_GONE);
        world.coverage.countIf(taken && !sender.holds(before) && !isGone(before.writer()), Coverage.Deed.WIN_AFTER_EXPIRY);
    }

    /** I5: whoever holds the Lease keeps it until its pod is gone, or its last renewal is too old by the clock of whoever takes it. */
    private void notUsurped(SimulatedServer.Sender sender, StoredLease before) {
        if (isGone(before.writer())) {
            return;
        }
        ownerIsAway(sender, before);
        long age = world.now() - renewedAt;
        SimulatedProcess process = sender.process();
        long measured = process == null ? age : process.measured(age);
        long own = process == null ? world.mix.lease() : process.config().leaseDuration().toNanos();
        Long recorded = before.seconds();
        long duration = recorded == null || recorded > 3600 ? own : recorded * Simulation.SECOND;
        boolean wasRestored = world.server.history() > 0; // a holder that was gone for good may be back
        Invariants.require(wasRestored || isHolderHindered() || measured + Simulation.MS / 1000 >= duration, "I5",
                () -> sender.who() + " took the Lease from " + before.holder() + ", which had renewed it " + age / Simulation.MS
                        + "ms ago; recorded are " + duration / Simulation.MS + "ms");
    }

    /** The same from the holder's side, and the way back after a restart: a process that runs undisturbed keeps its pod's Lease. */
    private void ownerIsAway(SimulatedServer.Sender sender, StoredLease before) {
        if (before.writer() == null || isHolderHindered() || world.mix.isOn(Fault.PATCH_REFUSED) || world.mix.isOn(Fault.POD_WRITES_REWRITTEN)
                || HandoverInvariants.isNewsLate(world)) {
            return; // also where its pod has lost its keys for good
        }
        for (SimulatedProcess process : world.workload.processes()) {
            boolean owns = process.pod().uid().equals(before.writer().uid()) && (process == writer && process.knowsWin(latestWin)
                    || before.claim() != null && !world.mix.isOn(Fault.SECOND_PROCESS));
            long recently = world.now() - Simulation.SECOND;
            boolean wasReset = world.mix.isOn(Fault.RESET) && !world.isCalmSince(recently);
            boolean runs = process.startedAt() < recently && process.isCandidate() && !wasReset;
            Invariants.require(!owns || !runs, "I5", () -> sender.who() + " takes the Lease from " + process + ", which runs undisturbed");
        }
    }

    /** Whether a webhook has kept the holder from renewing the Lease, or others from seeing it, lately. */
    private boolean isHolderHindered() {
        return world.server.admission().hasHinderedSince(world.now() - 2 * world.mix.longestLease());
    }

    private boolean isGone(StoredLease.Claimed claim) {
        StoredPod pod = claim == null ? null : world.server.pod(claim.pod());
        return claim != null && (pod == null || !pod.uid().equals(claim.uid()) || pod.finished());
    }
}
