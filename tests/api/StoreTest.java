import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.time.Instant;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.junit.jupiter.api.Test;

/** What {@link Store} promises beyond the API, to the simulation. The API itself is the business of {@link ConformanceTest}. */
class StoreTest {

    private static final String NS = "test";
    private static final int HISTORY = 5;

    private Instant now = Instant.parse("2026-01-02T03:04:05.678Z");
    private final Store store = new Store(() -> now, Store.seededUids(1), HISTORY);
    private final List<Store.Revision> heard = new ArrayList<>();

    @Test
    void every_change_is_one_revision_and_nothing_else_is() {
        store.onRevision(heard::add);
        create("p", Map.of());
        patch("p", Map.of("labels", Map.of("a", "1")));
        patch("p", Map.of("labels", Map.of("a", "1")));
        patch("p", Map.of("resourceVersion", "1", "labels", Map.of("a", "2")));
        store.delete(Resource.PODS, NS, "p", Store.Deletion.NOW);
        store.delete(Resource.PODS, NS, "p", Store.Deletion.NOW);
        assertEquals(List.of(2L, 3L, 4L, 5L), heard.stream().map(Store.Revision::resourceVersion).toList());
        assertEquals(5, store.resourceVersion());
        assertEquals(Optional.of(heard), store.since(1));
    }

    @Test
    void a_listener_hears_of_a_revision_when_it_can_be_read() {
        var read = new ArrayList<Store.Result>();
        store.onRevision(revision -> read.add(store.get(revision.resource(), revision.namespace(), revision.name())));
        var created = create("p", Map.of());
        assertEquals(List.of(new Store.Ok(created)), read);
    }

    @Test
    void revisions_chain_the_states_of_an_object() {
        store.onRevision(heard::add);
        create("p", Map.of());
        patch("p", Map.of("labels", Map.of("a", "1")));
        store.delete(Resource.PODS, NS, "p", Store.Deletion.NOW);
        assertEquals(null, heard.getFirst().before());
        for (int i = 1; i < heard.size(); i++) {
            assertEquals(heard.get(i - 1).after(), heard.get(i).before());
        }
        assertEquals(null, heard.getLast().after());
    }

    @Test
    void an_object_that_was_handed_out_never_changes() {
        var labels = new HashMap<String, Object>(Map.of("a", "1"));
        var created = create("p", Map.of("labels", labels));
        labels.put("a", "2");
        patch("p", Map.of("labels", Map.of("a", "3")));
        assertEquals("1", Json.text(created, "metadata", "labels", "a"));
        assertThrows(UnsupportedOperationException.class, () -> Json.object(created, "metadata", "labels").put("a", "4"));
        assertThrows(UnsupportedOperationException.class, () -> created.put("spec", Map.of()));
    }

    @Test
    void whole_numbers_of_any_type_are_equal() {
        var lease = Map.of("metadata", Map.of("name", "l"), "spec", Map.of("leaseDurationSeconds", 15));
        assertInstanceOf(Store.Created.class, store.create(Resource.LEASES, NS, lease));
        store.patch(Resource.LEASES, NS, "l", Map.of("spec", Map.of("leaseDurationSeconds", 15L)));
        assertEquals(2, store.resourceVersion());
    }

    @Test
    void only_the_latest_revisions_are_known() {
        create("p", Map.of());
        for (int i = 0; i < HISTORY; i++) {
            patch("p", Map.of("labels", Map.of("a", "" + i)));
        }
        assertEquals(7, store.resourceVersion());
        assertEquals(HISTORY, store.since(2).orElseThrow().size());
        assertTrue(store.since(1).isEmpty());
        assertEquals("too old resource version: 1 (2)", store.expired(1).message());
        assertEquals(410, store.expired(1).status());
    }

    @Test
    void compaction_forgets_revisions_but_no_objects() {
        create("p", Map.of());
        patch("p", Map.of("labels", Map.of("a", "1")));
        store.compact(2);
        assertTrue(store.since(1).isEmpty());
        assertEquals(1, store.since(2).orElseThrow().size());
        store.compact(99);
        assertEquals(List.of(), store.since(3).orElseThrow());
        assertInstanceOf(Store.Ok.class, store.get(Resource.PODS, NS, "p"));
    }

    @Test
    void a_selection_sees_its_own_namespace_name_and_kind_only() {
        store.onRevision(heard::add);
        create("p", Map.of());
        var pod = heard.getFirst();
        assertTrue(pod.seenBy(Store.Selection.all(Resource.PODS, null)).isPresent());
        assertTrue(pod.seenBy(Store.Selection.all(Resource.PODS, NS).named("p")).isPresent());
        assertTrue(pod.seenBy(Store.Selection.all(Resource.PODS, NS).named("q")).isEmpty());
        assertTrue(pod.seenBy(Store.Selection.all(Resource.PODS, "other")).isEmpty());
        assertTrue(pod.seenBy(Store.Selection.all(Resource.LEASES, null)).isEmpty());
        assertTrue(pod.seenBy(Store.Selection.all(Resource.PODS, NS).labelled(labels -> labels.containsKey("a"))).isEmpty());
    }

    @Test
    void time_comes_from_the_clock_and_uids_from_the_seed() {
        var created = create("p", Map.of());
        assertEquals("2026-01-02T03:04:05Z", Json.text(created, "metadata", "creationTimestamp"));
        now = now.plusSeconds(60);
        store.patchStatus(Resource.PODS, NS, "p", Map.of("status", Map.of("phase", "Running")));
        var terminating = assertInstanceOf(Store.Ok.class, store.delete(Resource.PODS, NS, "p", new Store.Deletion(10L, null, null)));
        assertEquals("2026-01-02T03:05:15Z", Json.text(terminating.object(), "metadata", "deletionTimestamp"));
        assertEquals(Store.seededUids(1).get(), Json.text(created, "metadata", "uid"));
        assertTrue(Store.seededUids(2).get().matches("[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"));
    }

    private Map<String, Object> create(String name, Map<String, Object> metadata) {
        var body = Map.of("metadata", Json.merge(Map.of("name", name), metadata), "spec", Map.of("nodeName", "n"));
        return assertInstanceOf(Store.Created.class, store.create(Resource.PODS, NS, body)).object();
    }

    private void patch(String name, Map<String, Object> metadata) {
        store.patch(Resource.PODS, NS, name, Map.of("metadata", metadata));
    }
}
