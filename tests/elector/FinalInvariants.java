import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import java.util.stream.Collectors;
import java.util.stream.Stream;

/** How it ends: with one leader (I4), with the right labels (I6), without a label that nobody takes away (I2), and then in peace. */
final class FinalInvariants {

    private final Simulation world;
    private final LabelInvariants labels;
    private final LeaseInvariants leases;
    /** The latest process of a pod, by the pod's uid. */
    private final Map<String, SimulatedProcess> latest = new HashMap<>();
    private final Map<SimulatedProcess, Integer> requests = new HashMap<>();
    /** Processes that ended by themselves while another one ran for their pod, to which they left the label. */
    private final Set<SimulatedProcess> endedBesideAnother = new HashSet<>();
    /** Uids of pods without the leadership key when they were removed: no watch shows that to a process that nobody ends. */
    private final Set<String> leftUnwatched = new HashSet<>();
    private SimulatedProcess leader;
    private long movedAt;
    private int podWrites;

    FinalInvariants(Simulation world, LabelInvariants labels, LeaseInvariants leases) {
        this.world = world;
        this.labels = labels;
        this.leases = leases;
    }

    void started(SimulatedProcess process) {
        latest.put(process.pod().uid(), process);
    }

    void ended(SimulatedProcess process) {
        if (world.workload.processes().stream().anyMatch(other -> other != process && other.pod() == process.pod())) {
            endedBesideAnother.add(process);
        }
    }

    /** A sidecar has written to a pod. */
    void podWritten() {
        podWrites++;
    }

    /** A pod was removed. */
    void removed(StoredPod pod) {
        if (pod.leadership() == null) {
            leftUnwatched.add(pod.uid());
        }
    }

    /** The leadership label of a pod has come or gone. */
    void labelMoved() {
        movedAt = world.now();
    }

    /** Long enough after the last fault. */
    void settled(long quietSince) {
        List<SimulatedProcess> running = world.workload.processes();
        leader = null;
        requests.clear();
        for (SimulatedProcess process : running) {
            StoredPod pod = world.server.pod(process.pod().name());
            boolean isShown = !leftUnwatched.contains(process.pod().uid());
            Invariants.require(!isShown || pod != null && pod.uid().equals(process.pod().uid()) && !pod.finished(), "exit",
                    () -> process + " runs on, but its pod is gone or has finished");
            requests.put(process, process.requests());
        }
        List<SimulatedProcess> candidates = running.stream().filter(SimulatedProcess::canLead).toList();
        if (candidates.isEmpty()) {
            nothingLeftBehind();
        } else {
            oneLeads(candidates);
            preferredLeads(candidates);
            running.stream().filter(SimulatedProcess::isCandidate).forEach(this::allSeeTheSame);
            allLabelsAreRight();
            world.coverage.settledAfter((movedAt - quietSince) * 1000 / world.mix.longestLease());
        }
        podWrites = 0;
    }

    /** I2, second half, where nobody runs who could take a label away: who ended by itself has left none, its own or one that it found. */
    private void nothingLeftBehind() {
        for (String name : labels.labelled()) {
            String uid = world.server.pod(name).uid();
            SimulatedProcess last = latest.get(uid);
            LabelInvariants.Labelling labelling = labels.latest(uid);
            boolean knew = last != null && labelling != null && labelling.epoch() > 0
                    && (labelling.by() == last || labelling.at() < last.startedAt());
            boolean left = knew && last.ended() != null && !last.ended().contains("exit timeout") && !endedBesideAnother.contains(last);
            boolean isMisled = world.mix.isOn(Fault.LEASE_RESTORED); // two older states that are written back in a row look like a renewal
            Invariants.require(!left || isMisled || world.mix.isOn(Fault.FOREIGN_TRUE), "I2",
                    () -> name + " is labelled, nobody runs, and its process ended by itself: " + last.ended());
        }
    }

    /** Everybody shows all pods that take part, and none that is gone; one that has lost its leadership key may be known or not. */
    private void allSeeTheSame(SimulatedProcess process) {
        Map<String, StoredPod> there = world.server.pods();
        List<String> missing = there.values().stream().filter(p -> !p.name().startsWith(Workload.OTHERS))
                .filter(p -> p.leadership() != null && (p.isMarked() || !world.mix.isOn(Fault.SHARED_LABEL))).map(StoredPod::name)
                .filter(name -> !process.participants().contains(name)).toList();
        List<String> ghosts = process.participants().stream().filter(name -> !there.containsKey(name)).toList();
        Invariants.require(process.isPolling() || missing.isEmpty() && ghosts.isEmpty(), "participants",
                () -> process + " does not show " + missing + ", and shows " + ghosts + ", which do not exist");
    }

    /** I4. */
    private void oneLeads(List<SimulatedProcess> candidates) {
        List<SimulatedProcess> leading = candidates.stream().filter(SimulatedProcess::isLeading).toList();
        Invariants.require(leading.size() == 1, "I4", () -> "of " + candidates + " these lead: " + leading);
        leader = leading.get(0);
        StoredLease lease = world.server.lease();
        Invariants.require(lease != null && lease.writer() != null && lease.writer().uid().equals(leader.pod().uid()), "I4",
                () -> leader + " leads, but the Lease is " + lease);
        Invariants.require(labels.labelled().contains(leader.pod().name()), "I4",
                () -> leader + " leads, but labelled is " + labels.labelled());
        Invariants.require(renewsInTime(), "I4", () -> leader + " does not renew the Lease");
    }

    /** Where nothing else happens, the preferred leader leads. */
    private void preferredLeads(List<SimulatedProcess> candidates) {
        String preferred = world.server.lease().preferred();
        boolean can = world.mix.isAlone(Fault.LEADER_PREFERRED) && leader.config().handover() == Handover.EARLY
                && candidates.stream().anyMatch(p -> p.pod().name().equals(preferred)) && world.server.pod(preferred).ready();
        Invariants.require(!can || leader.pod().name().equals(preferred), "preferred",
                () -> leader + " leads, though " + preferred + " is preferred");
    }

    private boolean renewsInTime() {
        long age = leader.measured(world.now() - leases.renewedAt());
        return age <= leader.config().retryPeriod().toNanos() + Simulation.SECOND / 2;
    }

    /** I4 while metadata of the Lease change all the time: somebody who runs holds it, other than those who gave it back. */
    void touchedForLong() {
        List<SimulatedProcess> candidates = world.workload.processes().stream().filter(SimulatedProcess::canLead).toList();
        boolean mayWait = candidates.stream().noneMatch(p -> p.startedAt() < world.now() - world.mix.longestLease()
                && (p.sinceGivingBack() < 0 || p.sinceGivingBack() > 2 * world.mix.longestLease()));
        StoredLease lease = world.server.lease();
        boolean held = lease != null && candidates.stream().anyMatch(p -> p.pod().name().equals(lease.holder()));
        boolean isOffered = leases.freeSince() > world.now() - 3 * world.mix.retry(); // to the preferred leader, just now
        boolean isRenewed = leases.renewedAt() > world.now() - world.mix.longestLease();
        boolean expires = isRenewed && world.mix.isOn(Fault.LEASE_WEBHOOK); // which refuses that it is given back
        Invariants.require(mayWait || held || isOffered || expires, "I4", () -> "touched again and again, the Lease is still " + lease);
    }

    /** I6. */
    private void allLabelsAreRight() {
        StoredLease lease = world.server.lease();
        String epoch = world.server.pod(leader.pod().name()).epoch();
        Invariants.require(leader.wins().contains(epoch), "I6",
                () -> leader + " has epoch " + epoch + " on its pod, but won as " + leader.wins());
        Invariants.require(lease.seconds() != null && lease.seconds() == leader.config().leaseDuration().toSeconds(), "I6",
                () -> "the Lease records another duration: " + lease);
        ours().forEach(pod -> {
            boolean leads = pod.name().equals(leader.pod().name());
            boolean right = pod.finished() || world.server.refusesPatches(pod.name()) ? !pod.isLabelled()
                    : Boolean.toString(leads).equals(pod.leadership())
                    && "true".equals(pod.participation()) && epoch.equals(pod.epoch());
            int cost = leader.config().deletionCost();
            boolean isCostRight = pod.finished() || world.server.refusesPatches(pod.name()) || world.mix.isOn(Fault.FOREIGN_TRUE)
                    || Objects.equals(pod.deletionCost(), leads && cost > 0 ? Integer.toString(cost) : null);
            Invariants.require(right && isCostRight, "I6", () -> leader + " leads with epoch " + epoch + ", but there is " + pod);
        });
    }

    /**
     * Pods that take part, or took part, or are labelled. Without the leadership key nobody sees one whose sidecar is dead, or which is
     * terminating and so no longer registers.
     */
    private Stream<StoredPod> ours() {
        Set<String> running = world.workload.processes().stream().map(p -> p.pod().uid()).collect(Collectors.toSet());
        return world.server.pods().values().stream().filter(p -> !p.name().startsWith(Workload.OTHERS))
                .filter(p -> p.participation() != null || p.epoch() != null || p.isLabelled())
                .filter(p -> p.leadership() != null || p.isAlive() && running.contains(p.uid()));
    }

    /** A while later: the same one leads, nobody has written to a pod, nobody but the leader has asked for anything. */
    void still(long nanos) {
        Invariants.require(podWrites == 0, "I6", () -> "pods are written to without a reason: " + podWrites + " times");
        if (leader == null) {
            world.coverage.count(Coverage.Deed.NOBODY_LEFT);
            return;
        }
        Invariants.require(leader.isLeading() && renewsInTime(), "I4",
                () -> leader + " no longer leads, without a reason");
        requests.forEach((process, before) -> {
            Invariants.require(process.watchesAreLive() || process.isPolling(), "watch",
                    () -> process + " still waits on a watch that delivers nothing");
            long asked = process.requests() - before;
            boolean refused = world.server.refusesAnyPatch();
            boolean retries = world.server.refusesPatches(process.pod().name()) || process == leader && refused;
            // A leader that tries again and again renews in between, so a follower may take the next renewal for overdue, and asks.
            boolean asks = process == leader || refused;
            long most = retries ? Long.MAX_VALUE : asks ? process.measured(nanos) / process.config().retryPeriod().toNanos() + 1 : 0;
            Invariants.require(asked <= most || process.isPolling(), "idle", () -> process + " sent " + asked + " requests for no reason");
        });
        world.coverage.count(Coverage.Deed.SETTLED);
    }
}
