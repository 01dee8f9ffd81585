import java.time.Duration;
import java.util.EnumMap;
import java.util.List;
import java.util.Map;
import java.util.Set;

/**
 * What one schedule is like: which faults it has and how frequent they are, and how the group is set up. Few kinds of faults at a time find
 * more than all at once (swarm testing), so most kinds are off in most schedules.
 */
final class Mix {

    /** lease-duration, renew-deadline and retry-period in milliseconds. */
    private static final List<long[]> TIMINGS = List.of(new long[] {3000, 2000, 500}, new long[] {3000, 2000, 500},
            new long[] {15000, 10000, 2000}, new long[] {2000, 1000, 300}, new long[] {6000, 4000, 1000});
    private static final List<long[]> SHORT_TIMINGS = List.of(new long[] {3000, 2000, 500}, new long[] {2000, 1000, 300});
    /** What is no fault, but everyday life. */
    private static final List<Fault> PLANNED = List.of(Fault.POD_DELETED, Fault.SIGTERM, Fault.POD_UNREADY, Fault.WIND_DOWN);
    /** Deletion costs of a leader's pod: what everybody has where the settings are the same, and others. */
    private static final List<Integer> COSTS = List.of(100, 0, 7);
    static final String ELECTION = "web";
    static final String NAMESPACE = "default";

    /** Whether it is a short schedule in which all its faults come often, to see them meet. */
    final boolean dense;
    final int replicas;
    /** Whether a replacement has the name of the pod that it replaces, as in a StatefulSet. */
    final boolean stateful;
    final String leadershipLabel;
    private final boolean nativeSidecars;
    private final Handover handover;
    private final long[] timing;
    /** Of some members, where they differ. */
    private final long[] otherTiming;
    private final int graceKind;
    /** Of each fault that is on: the probability per request, or the mean number per lease-duration. */
    private final Map<Fault, Double> frequency = new EnumMap<>(Fault.class);
    private final Draw draw;

    /** Draws everything; where {@code only} is not empty, the schedule has exactly these faults. */
    Mix(Draw draw, Set<Fault> only, boolean dense) {
        this.draw = draw;
        this.dense = dense;
        double share = draw.one(List.of(0.0, 0.05, 0.1, 0.2, 0.35));
        for (Fault fault : Fault.values()) {
            double own = fault == Fault.FOREIGN_TRUE ? share / 4 : share;
            if (only.isEmpty() ? fault != Fault.LARGE_GROUP && draw.chance(own) : only.contains(fault)) {
                frequency.put(fault, dense ? draw.between(0.3, 0.9) : draw.between(0.02, 0.5));
            }
        }
        if (frequency.isEmpty()) {
            frequency.put(draw.one(PLANNED), draw.between(0.1, 0.5)); // then every hand-over can be checked to the letter
        }
        int few = draw.chance(0.05) ? 1 : (int) draw.between(2L, 5L);
        replicas = isOn(Fault.LARGE_GROUP) ? 100 : few;
        stateful = draw.chance(0.5);
        nativeSidecars = draw.chance(0.5);
        handover = draw.chance(0.15) ? Handover.AFTER_EXIT : Handover.EARLY;
        timing = draw.one(dense ? SHORT_TIMINGS : TIMINGS);
        List<long[]> similar = TIMINGS.stream().filter(t -> t[0] <= 3 * timing[0] && timing[0] <= 3 * t[0]).toList();
        otherTiming = isOn(Fault.MIXED_SETTINGS) ? draw.one(similar) : timing;
        graceKind = (int) draw.between(0L, 3L);
        leadershipLabel = isOn(Fault.SHARED_LABEL) ? "example.com/leader" : ELECTION + "/is-leader";
    }

    /** Of a {@link Script}: a Deployment with these faults, none of which happens by chance. */
    Mix(Draw draw, Set<Fault> faults, int replicas, Handover handover) {
        this.draw = draw;
        this.replicas = replicas;
        this.handover = handover;
        faults.forEach(fault -> frequency.put(fault, 0.0));
        dense = false;
        stateful = false;
        nativeSidecars = handover == Handover.AFTER_EXIT;
        timing = Script.TIMING;
        otherTiming = timing;
        graceKind = 1;
        leadershipLabel = ELECTION + "/is-leader";
    }

    boolean isOn(Fault fault) {
        return frequency.containsKey(fault);
    }

    /** Whether that is the only fault. */
    boolean isAlone(Fault fault) {
        return frequency.keySet().equals(Set.of(fault));
    }

    /** Whether there is no fault but these. */
    boolean hasOnly(Set<Fault> faults) {
        return faults.containsAll(frequency.keySet());
    }

    /** Probability of a fault per request, or its mean number per lease-duration; 0 if it is off. */
    double frequency(Fault fault) {
        return frequency.getOrDefault(fault, 0.0);
    }

    /** The settings of a new pod's sidecar, which knows the pod's uid. */
    Config config(String pod, String uid) {
        long[] own = draw.chance(0.5) ? timing : otherTiming;
        Duration lease = Duration.ofMillis(own[0]);
        boolean isMixed = isOn(Fault.MIXED_SETTINGS);
        Duration grace = switch (isMixed ? (int) draw.between(0L, 3L) : graceKind) {
            case 0 -> Duration.ZERO;
            case 1 -> Duration.ofMillis(own[2]);
            default -> lease;
        };
        return TestConfig.config().election(ELECTION).pod(pod).namespace(NAMESPACE).leadershipLabel(leadershipLabel)
                .handover(isMixed ? draw.one(List.of(Handover.values())) : handover).deletionCost(isMixed ? draw.one(COSTS) : COSTS.get(0))
                .timing(lease, Duration.ofMillis(own[1]), Duration.ofMillis(own[2])).unreadyGrace(grace).podUid(uid).build();
    }

    /** Whether the sidecar of a pod that is deleted gets SIGTERM only after the application has exited. */
    boolean isNative() {
        return isOn(Fault.MIXED_SETTINGS) ? draw.chance(0.5) : nativeSidecars;
    }

    /** The longest lease-duration of any member, in nanoseconds. */
    long longestLease() {
        return Math.max(timing[0], otherTiming[0]) * Simulation.MS;
    }

    /** How long the faults last, in nanoseconds. */
    long length() {
        return dense ? draw.between(lease(), 2 * lease()) : draw.between(2 * lease(), 6 * lease());
    }

    /** A typical lease-duration, by which the frequency of faults is measured, in nanoseconds. */
    long lease() {
        return timing[0] * Simulation.MS;
    }

    long retry() {
        return timing[2] * Simulation.MS;
    }

    @Override
    public String toString() {
        return "replicas=" + replicas + (stateful ? " stateful" : "") + (nativeSidecars ? " native" : "") + " handover=" + handover
                + " lease=" + timing[0] + "ms faults=" + frequency;
    }
}
