import io.kubernetes.client.openapi.ApiClient;
import io.kubernetes.client.openapi.ApiException;
import io.kubernetes.client.openapi.apis.CoreV1Api;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeSet;

/** Sees every revision of the pods of a namespace, and who is labelled at each of them. */
final class Labels implements AutoCloseable {

    /** From this revision on, and from this time ({@link System#nanoTime}), these pods were labelled. */
    record State(String version, long at, List<String> leaders) {}

    private final String label;
    private final RawWatch watch;
    private final List<State> states = new ArrayList<>();
    private final TreeSet<String> labelled = new TreeSet<>();

    /** Begins with a namespace that has no pods yet. The client is not to be shared. */
    Labels(ApiClient client, String namespace, String label) {
        this.label = label;
        try {
            String version = new CoreV1Api(client).listNamespacedPod(namespace).execute().getMetadata().getResourceVersion();
            watch = new RawWatch(client, "/api/v1/namespaces/" + namespace + "/pods", version, this::seen);
        } catch (ApiException e) {
            throw new IllegalStateException(e.getResponseBody(), e);
        }
    }

    private synchronized void seen(String type, Map<String, Object> pod) {
        String name = Json.text(pod, "metadata", "name");
        boolean on = !type.equals("DELETED") && "true".equals(Json.text(pod, "metadata", "labels", label));
        if (on ? labelled.add(name) : labelled.remove(name)) {
            states.add(new State(Json.text(pod, "metadata", "resourceVersion"), System.nanoTime(), List.copyOf(labelled)));
        }
    }

    /** The pod that is labelled, empty if none is. */
    synchronized Optional<String> leader() {
        return labelled.stream().findFirst();
    }

    /** All states in which two pods were labelled: there must be none. Fails if a revision was missed. */
    synchronized List<State> withTwo() {
        watch.gap().ifPresent(gap -> {
            throw new AssertionError(gap);
        });
        return states.stream().filter(state -> state.leaders().size() > 1).toList();
    }

    /** Milliseconds without any labelled pod since that time. */
    synchronized long millisWithNone(long since) {
        long nanos = 0;
        for (int i = 0; i + 1 < states.size(); i++) {
            if (states.get(i).leaders().isEmpty() && states.get(i).at() >= since) {
                nanos += states.get(i + 1).at() - states.get(i).at();
            }
        }
        return nanos / 1_000_000;
    }

    /** How often the label came to another pod since that time. */
    synchronized long moves(long since) {
        return states.stream().filter(state -> state.at() >= since && !state.leaders().isEmpty()).count();
    }

    @Override
    public void close() {
        watch.close();
    }
}
