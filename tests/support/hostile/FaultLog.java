import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import java.util.function.Predicate;
import java.util.stream.Stream;

/** What the {@link FaultProxy proxies} of one group saw and did. Safe from any thread; times are those of {@link System#nanoTime}. */
final class FaultLog {

    /**
     * A request and its answer.
     *
     * @param fault what was done to it, null if nothing
     * @param status what the API server answered, 0 if it was not asked or did not answer
     * @param answeredAt when the answer, or what there was of it, went out
     */
    record Exchange(ProxiedRequest request, HttpFault fault, int status, long answeredAt) {}

    private final long origin = System.nanoTime();
    private final List<Exchange> exchanges = new ArrayList<>();
    private final Map<String, List<Long>> attempts = new HashMap<>();
    private final Map<String, Long> forbiddenUntil = new HashMap<>();
    private final List<String> disobedience = new ArrayList<>();
    private long since = origin;
    private int hits;

    // --- Told by the proxies -------------------------------------------------------------------------------------------

    /** A client sends a request, or tries to: it may find nobody to connect to. */
    synchronized void sent(ProxiedRequest request) {
        attempts.computeIfAbsent(request.client(), c -> new ArrayList<>()).add(request.at());
        long early = forbiddenUntil.getOrDefault(place(request), request.at()) - request.at();
        if (early > 0) {
            disobedience.add("%s, %d ms before Retry-After allows it".formatted(request, early / 1_000_000));
        }
    }

    /** A client got an answer that says {@code Retry-After}. */
    synchronized void toldToWait(ProxiedRequest request, int seconds) {
        forbiddenUntil.put(place(request), System.nanoTime() + TimeUnit.SECONDS.toNanos(seconds));
    }

    private static String place(ProxiedRequest request) {
        return request.client() + " " + request.object();
    }

    /** A fault hits a live request. */
    synchronized void hit() {
        hits++;
    }

    synchronized void answered(Exchange exchange) {
        exchanges.add(exchange);
    }

    // --- Asked by tests --------------------------------------------------------------------------------------------------

    /** How many live requests were hit by a fault so far. */
    synchronized int hits() {
        return hits;
    }

    /** From now on {@link #exchanges} leaves out what arrived before. */
    synchronized void mark() {
        since = System.nanoTime();
    }

    /** What arrived since the {@link #mark}, was answered and is like this, in the order of arrival. */
    synchronized List<Exchange> exchanges(Predicate<Exchange> like) {
        return inOrder().filter(exchange -> exchange.request().at() >= since).filter(like).toList();
    }

    private Stream<Exchange> inOrder() {
        return exchanges.stream().sorted(Comparator.comparing(exchange -> exchange.request().at()));
    }

    /** Requests of clients in this JVM to an object that a {@code Retry-After} had forbidden; none if all is well. */
    synchronized List<String> disobedience() {
        return List.copyOf(disobedience);
    }

    /** The most requests that one client sent within a second. */
    synchronized int busiestSecond() {
        return attempts.values().stream().mapToInt(FaultLog::busiestSecond).max().orElse(0);
    }

    private static int busiestSecond(List<Long> times) {
        int most = 0;
        int first = 0;
        for (int last = 0; last < times.size(); last++) {
            while (times.get(last) - times.get(first) > TimeUnit.SECONDS.toNanos(1)) {
                first++;
            }
            most = Math.max(most, last - first + 1);
        }
        return most;
    }

    /** How many requests a client sent since a time. */
    synchronized long attemptsSince(String client, long since) {
        return attempts.getOrDefault(client, List.of()).stream().filter(at -> at >= since).count();
    }

    /** Everything, a line per exchange, for people. */
    synchronized String history() {
        StringBuilder lines = new StringBuilder();
        inOrder().forEach(exchange -> lines.append("%,9d ms %s -> %s after %d ms%s%n".formatted(
                (exchange.request().at() - origin) / 1_000_000, exchange.request(), exchange.status() == 0 ? "nothing" : exchange.status(),
                (exchange.answeredAt() - exchange.request().at()) / 1_000_000, exchange.fault() == null ? "" : ", " + exchange.fault())));
        return lines.toString();
    }
}
