import java.util.Collections;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.function.LongSupplier;
import java.util.function.Predicate;

/**
 * Programs of other people in a {@link Simulation} that write to the same objects again and again: a controller that keeps pods busy, an
 * operator that undoes what sidecars write, a janitor of Leases. Each works for a while, and then again.
 */
final class OtherControllers {

    private static final long BUSY_PAUSE = 100 * Simulation.MS;

    private final Simulation world;
    /** Grows when everybody is to be done. */
    private int period;
    private long busyUntil;
    /** Until when the holder's pod and labelled ones, too, are kept busy. */
    private long leaderBusyUntil;
    private long touchesUntil;
    private long undoesUntil;
    private long undoneAt = Long.MIN_VALUE;
    private long cleansUntil;

    OtherControllers(Simulation world) {
        this.world = world;
    }

    /** Everybody is done, whatever they had begun. */
    void calm() {
        period++;
        busyUntil = 0;
        touchesUntil = 0;
        undoesUntil = 0;
        cleansUntil = 0;
    }

    private void later(long time, Runnable action) {
        int begun = period;
        world.at(time, () -> {
            if (begun == period) {
                action.run();
            }
        });
    }

    // --- Busy pods ---------------------------------------------------------------------------------------------------

    /**
     * Annotations or status of pods change ten times a second: of all pods, at random times; or exactly every 100 ms, of all pods, of one,
     * or of those that are neither the holder's nor labelled nor announced.
     */
    void keepPodsBusy(long until) {
        if (world.now() < busyUntil) {
            return;
        }
        busyUntil = until;
        boolean sparesLeader = world.draw.chance(0.5);
        leaderBusyUntil = sparesLeader ? leaderBusyUntil : until;
        boolean isRegular = sparesLeader || world.draw.chance(0.6);
        List<SimulatedPod> busy = world.workload.pods();
        if (isRegular && !sparesLeader && !busy.isEmpty() && world.draw.chance(0.5)) {
            busy = List.of(world.draw.one(busy));
        }
        for (SimulatedPod pod : busy) {
            if (isRegular) {
                keepBusy(pod, until, () -> BUSY_PAUSE, stored -> sparesLeader
                        && (stored.isLabelledOrAnnounced() || world.server.isHolder(pod.name())));
            } else {
                keepBusy(pod, until, BUSY_PAUSE);
            }
        }
    }

    /** Whether nobody has kept the holder's pod, or a labelled one, busy since that time. */
    boolean hasSparedLeaderSince(long time) {
        return leaderBusyUntil < time;
    }

    /** Somebody writes to this pod again and again. */
    void keepBusy(SimulatedPod pod, long until, long meanPause) {
        keepBusy(pod, until, () -> (long) (-Math.log(1 - world.draw.between(0.0, 1.0)) * meanPause), stored -> false);
    }

    private void keepBusy(SimulatedPod pod, long until, LongSupplier pause, Predicate<StoredPod> isSpared) {
        long next = world.now() + pause.getAsLong();
        if (next > until) {
            return;
        }
        later(next, () -> {
            StoredPod stored = world.server.pod(pod.name());
            if (!pod.isRemoved() && !(stored != null && isSpared.test(stored))) {
                world.server.touchPod(pod.name(), world.draw.chance(0.5));
            }
            if (!pod.isRemoved()) {
                keepBusy(pod, until, pause, isSpared);
            }
        });
    }

    // --- An operator that undoes -------------------------------------------------------------------------------------

    void undoLabels(long until) {
        undoesUntil = Math.max(undoesUntil, until);
    }

    /** Whether a label was undone since that time. */
    boolean hasUndoneSince(long time) {
        return undoneAt >= time;
    }

    /** A sidecar has written to a pod. What it did to our keys is undone a little later, other than that {@code true} was taken off. */
    void podWritten(String name, Map<String, Object> before, Map<String, Object> after) {
        if (world.now() >= undoesUntil) {
            return;
        }
        Map<String, Object> was = Json.object(before, "metadata", "labels");
        Map<String, Object> is = Json.object(after, "metadata", "labels");
        Map<String, Object> undone = new HashMap<>();
        for (String key : List.of(world.mix.leadershipLabel, SimulatedServer.PARTICIPATION)) {
            if (!"true".equals(was.get(key)) && !Objects.equals(was.get(key), is.get(key))) {
                undone.put(key, was.get(key));
            }
        }
        Object epoch = Json.object(before, "metadata", "annotations").get(SimulatedServer.EPOCH);
        boolean isFormer = epoch != null && !epoch.equals(Json.object(after, "metadata", "annotations").get(SimulatedServer.EPOCH));
        Map<String, Object> former = isFormer ? Map.of(SimulatedServer.EPOCH, epoch) : Map.of();
        if (!undone.isEmpty() || isFormer) {
            later(world.now() + world.draw.spread(Simulation.MS, 50 * Simulation.MS), () -> {
                world.disturb(0);
                world.coverage.count(Fault.LABELS_UNDONE);
                undoneAt = world.now();
                world.server.editPod(name, undone, former);
            });
        }
    }

    // --- The Lease ---------------------------------------------------------------------------------------------------

    void cleanLease(long until) {
        cleansUntil = Math.max(cleansUntil, until);
        clean();
    }

    /** The Lease was written by a sidecar. */
    void leaseWritten() {
        if (world.now() < cleansUntil) {
            later(world.now() + world.draw.spread(Simulation.MS, world.mix.retry()), this::clean);
        }
    }

    private void clean() {
        if (world.now() > cleansUntil || !world.server.isLeaseHeld()) {
            return;
        }
        world.disturb(0);
        world.coverage.count(Fault.LEASE_JANITOR);
        if (world.draw.chance(0.5)) {
            world.server.deleteLease();
        } else {
            world.server.editLease(Collections.singletonMap("holderIdentity", world.draw.chance(0.5) ? "" : null), Map.of());
        }
    }

    /** Metadata of the Lease change more often than a lease-duration lasts. */
    void keepTouchingLease(long until) {
        if (world.now() >= touchesUntil) {
            touchesUntil = until;
            touchLease(until);
        }
    }

    private void touchLease(long until) {
        long next = world.now() + world.draw.spread(world.mix.retry() / 2, world.mix.lease() * 2 / 3);
        if (next <= until) {
            later(next, () -> {
                world.disturb(0);
                world.server.touchLease();
                touchLease(until);
            });
        }
    }
}
