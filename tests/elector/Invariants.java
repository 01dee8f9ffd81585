import java.util.function.Supplier;

/**
 * The invariants of the design (section 2), checked after every revision of the API server and at the end of every schedule. This class
 * hears what happens and passes it on to those that check: {@link LabelInvariants}, {@link HandoverInvariants}, {@link LeaseInvariants}
 * and {@link FinalInvariants}.
 */
final class Invariants {

    private final Simulation world;
    private final LabelInvariants labels;
    private final HandoverInvariants handovers;
    private final LeaseInvariants leases;
    private final HealingInvariants healing;
    private final FinalInvariants end;
    private final LoadInvariants load = new LoadInvariants();

    Invariants(Simulation world) {
        this.world = world;
        labels = new LabelInvariants(world);
        handovers = new HandoverInvariants(world, labels);
        leases = new LeaseInvariants(world, labels);
        healing = new HealingInvariants(world);
        end = new FinalInvariants(world, labels, leases);
    }

    /** Ends the schedule if this does not hold. */
    static void require(boolean holds, String invariant, Supplier<String> text) {
        if (!holds) {
            throw new Violation(invariant, text.get());
        }
    }

    // --- What happens at the API server ------------------------------------------------------------------------------

    /** A pod has changed; {@code before} or {@code after} is null if it was created or removed. */
    void podRevised(SimulatedServer.Sender sender, Store.Revision revision, StoredPod before, StoredPod after) {
        boolean ours = !revision.name().startsWith(Workload.OTHERS);
        boolean was = ours && before != null && before.isLabelled();
        boolean is = ours && after != null && after.isLabelled();
        if (sender.process() == null) {
            handovers.foreignWrite(revision.name(), before, after, was);
            healing.foreignWrite(before, after);
        } else {
            end.podWritten();
            labels.written(sender.process(), revision);
            labels.patched(sender.process(), (Effect.PatchPod) sender.request(), before);
            handovers.written(sender.process(), revision.name());
            sender.process().notePatched(sender.request());
            world.chaos.written();
            world.others.podWritten(revision.name(), revision.before(), revision.after());
        }
        labels.note(revision.name(), is);
        leases.podRevised(revision.name(), after);
        if (after == null) {
            end.removed(before);
        }
        if (is && !was) {
            labels.putOn(sender, after);
            handovers.putOn(sender, after);
        } else if (is && sender.request() instanceof Effect.PatchPod patch && "true".equals(patch.leadership())) {
            labels.keptOn(sender.process(), patch, after);
        } else if (was && !is) {
            handovers.takenOff(sender, before);
            world.workload.processes().stream().filter(p -> p.pod().uid().equals(before.uid())).forEach(leases::leadsInVain);
        }
        if (is != was) {
            end.labelMoved();
        }
    }

    /** The Lease has changed; {@code before} or {@code after} is null if it was created or deleted. */
    void leaseRevised(SimulatedServer.Sender sender, StoredLease before, StoredLease after) {
        leases.revised(sender, before, after);
        handovers.leaseRevised(before, after);
        handovers.lostToStranger(after);
        if (before != null) {
            world.chaos.leaseWas(before);
        }
        if (sender.process() == null || after == null) {
            return;
        }
        world.chaos.written();
        world.others.leaseWritten();
        if (sender.claim() != null && (before == null || !sender.claim().isSameWin(before.writer()))) {
            sender.process().noteWin(Long.toString(after.version()));
            leases.leadsInVain(sender.process());
        } else if (before != null && !after.isHeld()) {
            world.coverage.count(Coverage.Deed.RELEASE);
            handovers.released(sender.process());
            world.coverage.countIf(sender.process().isOffering(), Coverage.Deed.OFFER);
        }
    }

    /** A request was executed. */
    void answered(SimulatedProcess process, Effect.Request request, Reply reply) {
        boolean conflict = reply instanceof Reply.Conflict;
        if (request instanceof Effect.PatchPod patch && "true".equals(patch.leadership())) {
            world.coverage.countIf(conflict, Coverage.Deed.PROMOTION_CONFLICT);
        } else if (request instanceof Effect.PatchPod patch && !patch.name().equals(process.pod().name())) {
            world.coverage.countIf(reply instanceof Reply.PodReply, Coverage.Deed.FENCE);
            world.coverage.countIf(conflict, Coverage.Deed.FENCE_CONFLICT);
        } else if (request instanceof Effect.PutLease) {
            world.coverage.countIf(conflict, Coverage.Deed.LEASE_CONFLICT);
        }
    }

    /** A request is about to be executed whose sender has not noticed yet that etcd was restored. */
    void outdated(Effect.Request request) {
        labels.outdated(request);
    }

    /** etcd was restored. */
    void restored() {
        labels.restored();
        handovers.restored();
        leases.restored();
        end.labelMoved();
    }

    // --- What happens to processes -----------------------------------------------------------------------------------

    /** A container runs. */
    void started(SimulatedProcess process) {
        handovers.started(process);
        end.started(process);
    }

    /** A process got SIGTERM. */
    void told(SimulatedProcess process) {
        if (process.pod().process() == process || process.isLeading()) {
            handovers.told(process.pod().uid());
        }
    }

    /** A process wants a request sent; {@code clock} is its own. */
    void asked(SimulatedProcess process, Effect.Request request, long clock) {
        load.asked(process, request, clock);
    }

    /** A process runs no longer. */
    void gone(SimulatedProcess process) {
        load.ended(process);
    }

    /** A process has ended by itself. */
    void ended(SimulatedProcess process, String why) {
        handovers.ended(process, why);
        end.ended(process);
    }

    /** A process has written this line to its log, at this time of its own clock. */
    void logged(SimulatedProcess process, String line, long clock) {
        load.logged(process, line, clock);
    }

    /** A process begins to release the Lease; a line of its log may say so, but not during contention. */
    void releasing(SimulatedProcess process, Role.Reason reason) {
        switch (reason) {
            case UNLABELLED, UNREADY -> {
                world.coverage.count(reason == Role.Reason.UNREADY ? Coverage.Deed.STEP_DOWN : Coverage.Deed.GIVE_BACK);
                handovers.steppedDown(process);
            }
            case PREFERRED -> leases.offers(process);
            case STOPPING, NOBODY_LEADS -> { }
        }
    }

    // --- The end -----------------------------------------------------------------------------------------------------

    /** The faults have ended at {@code quietSince}, long enough ago. */
    void settled(long quietSince) {
        end.settled(quietSince);
    }

    /** The faults have ended, other than that the Lease was touched again and again for one and a half times the lease-duration. */
    void touchedForLong() {
        end.touchedForLong();
    }

    /** So much later; nothing was to happen meanwhile. */
    void still(long nanos) {
        end.still(nanos);
    }
}
