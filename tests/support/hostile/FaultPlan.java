import java.util.ArrayDeque;
import java.util.Deque;
import java.util.EnumMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;

/** Which faults the next requests of each phase meet, one after the other; requests beyond those are left alone. Safe from any thread. */
final class FaultPlan {

    /** What tries to pass for an answer: a proxy's page, nothing, JSON that is none, and objects without what every object has. */
    static final List<String> GARBAGE = List.of("<html><body>It works!</body></html>", "", "{\"kind\":\"Lea", "[]", "null", "{}",
            "{\"metadata\":{}}", "{\"metadata\":{},\"items\":[{}]}", "{\"type\":\"MODIFIED\",\"object\":{\"metadata\":{}}}",
            "\uFFFD\uFFFD");

    private final Map<RequestPhase, Deque<HttpFault>> faults = new EnumMap<>(RequestPhase.class);

    /** Adds faults for the next requests of a phase; returns this plan. */
    synchronized FaultPlan then(RequestPhase phase, HttpFault... next) {
        faults.computeIfAbsent(phase, p -> new ArrayDeque<>()).addAll(List.of(next));
        return this;
    }

    /** The fault that a request meets, which is thereby used up. */
    synchronized Optional<HttpFault> meet(ProxiedRequest request) {
        return Optional.ofNullable(faults.getOrDefault(request.phase(), new ArrayDeque<>()).poll());
    }

    /** Whether the faults of these phases have all been met. */
    synchronized boolean isOver(Set<RequestPhase> phases) {
        return phases.stream().allMatch(phase -> faults.getOrDefault(phase, new ArrayDeque<>()).isEmpty());
    }

    @Override
    public synchronized String toString() {
        return faults.toString();
    }
}
