import java.util.EnumSet;
import java.util.HashMap;
import java.util.Map;
import java.util.Set;

/** I6, and soon: a leader that nobody disturbs gives an alive pod its leadership key back, also where that pod's sidecar is dead. */
final class HealingInvariants {

    /** With these, somebody keeps the leader from healing. */
    private static final Set<Fault> HINDRANCES = EnumSet.of(Fault.PATCH_REFUSED, Fault.POD_WRITES_REWRITTEN, Fault.LABELS_UNDONE,
            Fault.BUSY_POD, Fault.SHARED_LABEL, Fault.FOREIGN_TRUE);

    private final Simulation world;
    /** When somebody other than a sidecar wrote to a pod last, by its uid. */
    private final Map<String, Long> written = new HashMap<>();

    HealingInvariants(Simulation world) {
        this.world = world;
    }

    /** Somebody other than a sidecar has written to a pod; {@code before} or {@code after} is null if it was created or removed. */
    void foreignWrite(StoredPod before, StoredPod after) {
        if (before == null || after == null) {
            return;
        }
        written.put(after.uid(), world.now());
        boolean lost = before.leadership() != null && after.leadership() == null && after.isMarked() && after.isAlive();
        SimulatedProcess leader = lost ? leader() : null;
        if (leader != null) {
            int wins = leader.wins().size();
            world.at(world.now() + soon(), () -> isHealed(leader, wins, after));
        }
    }

    /** Soon enough also for a leader that has spent what it may send at once. */
    private long soon() {
        return Simulation.SECOND + 2 * world.mix.retry();
    }

    /** The process that leads and is labelled; null if there is none. */
    private SimulatedProcess leader() {
        return world.workload.processes().stream().filter(p -> p.isLeading() && p.isCandidate() && world.server.isHolder(p.pod().name())
                && world.server.pod(p.pod().name()).isLabelled()).findFirst().orElse(null);
    }

    private void isHealed(SimulatedProcess leader, int wins, StoredPod then) {
        StoredPod stored = world.server.pod(then.name());
        boolean same = leader() == leader && leader.wins().size() == wins && stored != null && stored.uid().equals(then.uid())
                && stored.isAlive() && written.get(stored.uid()) <= world.now() - soon();
        boolean hindered = HandoverInvariants.isNewsLate(world) || HINDRANCES.stream().anyMatch(world.mix::isOn);
        Invariants.require(!same || hindered || stored.leadership() != null, "I6",
                () -> leader + " leads, but has not healed " + stored + ", which lost its key " + soon() / Simulation.MS + "ms ago");
    }
}
