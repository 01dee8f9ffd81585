import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.function.BiPredicate;

/** Since when which pods were labelled as leaders, and since when their sidecars lived. Times are those of {@link System#nanoTime}. */
final class Timeline {

    /** What a pod may be. */
    enum State { LABELLED, ALIVE }

    private record Change(long at, String pod, State state, boolean on) {}

    private final List<Change> changes = new ArrayList<>();

    /** Notes that a pod is labelled, or its sidecar alive, from this time on, or no more; in any order, except at the same time. */
    void note(long at, String pod, State state, boolean on) {
        changes.add(new Change(at, pod, state, on));
    }

    /** For how many nanoseconds no pod with a live sidecar was labelled: the label of a dead one leads to nobody who works. */
    long withoutLiveLeader(long from, long to) {
        return during(from, to, (labelled, alive) -> labelled.stream().noneMatch(alive::contains));
    }

    /** For how many nanoseconds more than one pod was labelled, whether its sidecar lived or not. */
    long withTwoLeaders(long from, long to) {
        return during(from, to, (labelled, alive) -> labelled.size() > 1);
    }

    private long during(long from, long to, BiPredicate<Set<String>, Set<String>> condition) {
        Set<String> labelled = new HashSet<>();
        Set<String> alive = new HashSet<>();
        long total = 0;
        long since = from;
        for (Change change : changes.stream().sorted(Comparator.comparingLong(Change::at)).toList()) {
            long until = Math.clamp(change.at(), since, to);
            total += condition.test(labelled, alive) ? until - since : 0;
            since = until;
            Set<String> pods = change.state() == State.LABELLED ? labelled : alive;
            if (change.on()) {
                pods.add(change.pod());
            } else {
                pods.remove(change.pod());
            }
        }
        return total + (condition.test(labelled, alive) ? to - since : 0);
    }
}
