/** Who holds the Lease: nobody is deposed who renews in time (I5). */
final class LeaseInvariants {

    private final Simulation world;
    private long renewedAt;
    /** Whether somebody who does not take part has written to it since. */
    private boolean edited;

    LeaseInvariants(Simulation world) {
        this.world = world;
    }

    /** When a participant wrote it last. */
    long renewedAt() {
        return renewedAt;
    }

    /** The Lease has changed; {@code before} or {@code after} is null if it was created or deleted. */
    void revised(SimulatedServer.Sender sender, StoredLease before, StoredLease after) {
        boolean held = before != null && before.isHeld();
        if (sender.isParticipant()) {
            if (held && !edited && !sender.holds(before)) {
                notUsurped(sender, before);
            }
            renewedAt = world.now();
        }
        edited = !sender.isParticipant();
        if (sender.process() != null && before != null && after != null && after.writer() != null) {
            countWin(sender, before, after);
        }
    }

    /** etcd was restored: whoever holds the Lease now may not know it. */
    void restored() {
        edited = true;
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
        Invariants.require(measured + Simulation.MS / 1000 >= duration, "I5", () -> sender.who() + " took the Lease from " + before.holder()
                + ", which had renewed it " + age / Simulation.MS + "ms ago; recorded are " + duration / Simulation.MS + "ms");
    }

    /** The same from the holder's side, and the way back after a restart: a process that runs undisturbed keeps its pod's Lease. */
    private void ownerIsAway(SimulatedServer.Sender sender, StoredLease before) {
        if (before.writer() == null || world.mix.isOn(Fault.PATCH_REFUSED) || HandoverInvariants.isNewsLate(world)) {
            return;
        }
        for (SimulatedProcess process : world.workload.processes()) {
            boolean owns = process.pod().uid().equals(before.writer().uid());
            boolean runs = process.startedAt() < world.now() - Simulation.SECOND && process.isCandidate();
            Invariants.require(!owns || !runs, "I5", () -> sender.who() + " takes the Lease from " + process + ", which runs undisturbed");
        }
    }

    private boolean isGone(StoredLease.Claimed claim) {
        StoredPod pod = claim == null ? null : world.server.pod(claim.pod());
        return claim != null && (pod == null || !pod.uid().equals(claim.uid()) || pod.finished());
    }
}
