import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import io.kubernetes.client.custom.V1Patch;
import io.kubernetes.client.openapi.ApiClient;
import io.kubernetes.client.openapi.ApiException;
import io.kubernetes.client.openapi.apis.AuthorizationV1Api;
import io.kubernetes.client.openapi.apis.CoordinationV1Api;
import io.kubernetes.client.openapi.apis.CoreV1Api;
import io.kubernetes.client.openapi.models.V1Lease;
import io.kubernetes.client.openapi.models.V1LeaseSpec;
import io.kubernetes.client.openapi.models.V1ObjectMeta;
import io.kubernetes.client.openapi.models.V1Pod;
import io.kubernetes.client.openapi.models.V1ResourceAttributes;
import io.kubernetes.client.openapi.models.V1SelfSubjectAccessReview;
import io.kubernetes.client.openapi.models.V1SelfSubjectAccessReviewSpec;
import io.kubernetes.client.util.PatchUtils;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.time.Duration;
import java.time.Instant;
import java.time.OffsetDateTime;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Callable;
import java.util.concurrent.Executors;
import okhttp3.MediaType;
import okhttp3.OkHttpClient;
import okhttp3.Request;
import okhttp3.RequestBody;
import okhttp3.Response;
import okio.BufferedSource;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * What leader-labeler and its tests rely on in an API server. The in-memory server and a real one must pass the same tests; each test has a
 * namespace of its own.
 */
abstract class ConformanceTest {

    /** No answer takes this long, not even the last bookmark of a short watch. */
    private static final Duration LIMIT = Duration.ofSeconds(30);

    private TestServer server;
    private ApiClient client;
    private OkHttpClient http;
    private CoordinationV1Api coordination;
    private CoreV1Api core;
    private String namespace;
    private String leases;
    private String pods;

    /** The server under test. */
    abstract TestServer server();

    /** A client of somebody who may do nothing in that namespace. */
    abstract ApiClient clientWithoutRights(String inNamespace);

    @BeforeEach
    void connect() {
        server = server();
        client = server.client();
        http = client.getHttpClient().newBuilder().readTimeout(LIMIT).build();
        coordination = new CoordinationV1Api(client);
        core = new CoreV1Api(client);
        namespace = server.newNamespace();
        leases = "/apis/coordination.k8s.io/v1/namespaces/" + namespace + "/leases";
        pods = "/api/v1/namespaces/" + namespace + "/pods";
    }

    // ------------------------------------------------------------------------------------------------------------ leases

    @ConcurrentTest
    void a_lease_without_spec_comes_back_with_an_empty_one() {
        var created = created(post(leases, "{metadata: {name: l}}"));
        assertEquals(Map.of(), created.get("spec"));
        assertEquals(Map.of(), ok(get(leases + "/l")).get("spec"));
    }

    @ConcurrentTest
    void a_new_object_gets_uid_version_and_creation_time_from_the_server() {
        var created = created(post(leases, "{metadata: {name: l, uid: mine, creationTimestamp: '2001-01-01T00:00:00Z'}}"));
        assertTrue(uid(created).matches("[0-9a-f-]{36}"), uid(created));
        assertTrue(Long.parseLong(version(created)) > 0);
        assertTrue(Instant.parse(Json.text(created, "metadata", "creationTimestamp")).isAfter(Instant.now().minus(Duration.ofHours(1))));
        assertEquals(namespace, Json.text(created, "metadata", "namespace"));
    }

    @ConcurrentTest
    void a_name_is_given_once() {
        created(post(leases, "{metadata: {name: l}}"));
        var refused = post(leases, "{metadata: {name: l}}");
        assertRefused(refused, 409, "AlreadyExists", "leases.coordination.k8s.io \"l\" already exists");
        assertEquals(Map.of("name", "l", "group", "coordination.k8s.io", "kind", "leases"), refused.body.get("details"));
    }

    @ConcurrentTest
    void a_name_is_made_from_generate_name() {
        var name = Json.text(created(post(leases, "{metadata: {generateName: l-}}")), "metadata", "name");
        assertTrue(name.matches("l-[a-z0-9]{5}"), name);
    }

    @ConcurrentTest
    void an_object_without_name_is_invalid() {
        assertRefused(post(leases, "{metadata: {}}"), 422, "Invalid",
                "Lease.coordination.k8s.io \"\" is invalid: metadata.name: Required value: name or generateName is required");
    }

    @ConcurrentTest
    void creating_with_a_resource_version_is_refused() {
        assertRefused(post(leases, "{metadata: {name: l, resourceVersion: '5'}}"), 500, null, "resourceVersion should not be set");
    }

    @ConcurrentTest
    void a_missing_object_is_not_found() {
        assertRefused(get(leases + "/none"), 404, "NotFound", "leases.coordination.k8s.io \"none\" not found");
        assertRefused(patch(leases + "/none", "{metadata: {uid: x}}"), 404, "NotFound", "leases.coordination.k8s.io \"none\" not found");
        assertRefused(delete(leases + "/none", ""), 404, "NotFound", "leases.coordination.k8s.io \"none\" not found");
        assertRefused(put(pods + "/none", pod("none", "")), 404, "NotFound", "pods \"none\" not found");
    }

    @ConcurrentTest
    void nothing_can_be_created_in_a_missing_namespace() {
        var elsewhere = "/apis/coordination.k8s.io/v1/namespaces/missing/leases";
        assertRefused(post(elsewhere, "{metadata: {name: l}}"), 404, "NotFound", "namespaces \"missing\" not found");
        assertRefused(put(elsewhere + "/l", "{metadata: {name: l}}"), 404, "NotFound", "namespaces \"missing\" not found");
        assertEquals(List.of(), ok(get(elsewhere)).get("items"));
    }

    @ConcurrentTest
    void the_current_version_replaces_a_lease() throws ApiException {
        var lease = coordination.createNamespacedLease(namespace, lease("l", "web-0")).execute();
        lease.getSpec().holderIdentity("web-1").leaseDurationSeconds(15).acquireTime(OffsetDateTime.parse("2026-01-02T03:04:05.678901Z"));
        var replaced = coordination.replaceNamespacedLease("l", namespace, lease).execute();
        assertEquals("web-1", replaced.getSpec().getHolderIdentity());
        assertEquals(lease.getSpec().getAcquireTime(), replaced.getSpec().getAcquireTime());
        assertEquals(lease.getMetadata().getUid(), replaced.getMetadata().getUid());
        assertTrue(Long.parseLong(replaced.getMetadata().getResourceVersion()) > Long.parseLong(lease.getMetadata().getResourceVersion()));
    }

    @ConcurrentTest
    void a_stale_resource_version_is_a_conflict() throws ApiException {
        var stale = coordination.createNamespacedLease(namespace, lease("l", "web-0")).execute();
        coordination.replaceNamespacedLease("l", namespace, lease("l", "web-1").metadata(stale.getMetadata())).execute();
        var refused = assertThrows(ApiException.class, () -> coordination.replaceNamespacedLease("l", namespace, stale).execute());
        assertRefused(new Answer(refused.getCode(), Json.parse(refused.getResponseBody())), 409, "Conflict",
                "Operation cannot be fulfilled on leases.coordination.k8s.io \"l\": the object has been modified; "
                        + "please apply your changes to the latest version and try again");
    }

    @ConcurrentTest
    void replacing_a_lease_needs_a_resource_version() {
        created(post(leases, "{metadata: {name: l}}"));
        var zero = server.minorVersion() < 34 ? "0x0" : "0"; // until 1.34 a message showed numbers as in Go's source
        assertRefused(put(leases + "/l", "{metadata: {name: l}}"), 422, "Invalid", "leases.coordination.k8s.io \"l\" is invalid: "
                + "metadata.resourceVersion: Invalid value: " + zero + ": must be specified for an update");
    }

    @ConcurrentTest
    void replacing_with_another_uid_is_a_conflict() {
        var lease = created(post(leases, "{metadata: {name: l}}"));
        assertRefused(put(leases + "/l", "{metadata: {name: l, uid: other, resourceVersion: '" + version(lease) + "'}}"), 409, "Conflict",
                "Precondition failed: UID in precondition: other, UID in object meta: " + uid(lease));
    }

    @ConcurrentTest
    void replacing_a_deleted_lease_creates_it_whatever_version_it_carries() throws ApiException {
        var deleted = coordination.createNamespacedLease(namespace, lease("l", "web-0")).execute();
        coordination.deleteNamespacedLease("l", namespace).execute();
        var again = put(leases + "/l", "{metadata: {name: l, resourceVersion: '" + deleted.getMetadata().getResourceVersion() + "'}}");
        assertNotEquals(deleted.getMetadata().getUid(), uid(created(again)));
    }

    @ConcurrentTest
    void replacing_a_deleted_lease_with_its_uid_is_a_conflict() {
        var deleted = created(post(leases, "{metadata: {name: l}}"));
        ok(delete(leases + "/l", ""));
        var body = "{metadata: {name: l, uid: '" + uid(deleted) + "', resourceVersion: '" + version(deleted) + "'}}";
        assertRefused(put(leases + "/l", body), 409, "Conflict", "UID in precondition: " + uid(deleted) + ", UID in object meta: ");
        assertEquals(404, get(leases + "/l").status);
    }

    @ConcurrentTest
    void a_new_lease_of_the_same_name_is_another_object() {
        var first = created(post(leases, "{metadata: {name: l}}"));
        ok(delete(leases + "/l", ""));
        var second = created(post(leases, "{metadata: {name: l}}"));
        assertNotEquals(uid(first), uid(second));
        assertTrue(Long.parseLong(version(second)) > Long.parseLong(version(first)));
    }

    @ConcurrentTest
    void replacing_a_lease_that_never_was_creates_it() {
        created(put(leases + "/l", "{metadata: {name: l}, spec: {holderIdentity: web-0}}"));
        assertEquals("web-0", Json.text(ok(get(leases + "/l")), "spec", "holderIdentity"));
    }

    @ParameterizedTest
    @CsvSource(delimiter = '|', value = {
        "leaseDurationSeconds: 0 | spec.leaseDurationSeconds: Invalid value: 0: must be greater than 0",
        "leaseDurationSeconds: -1 | spec.leaseDurationSeconds: Invalid value: -1: must be greater than 0",
        "leaseTransitions: -1 | spec.leaseTransitions: Invalid value: -1: must be greater than or equal to 0",
        "leaseTransitions: -1, leaseDurationSeconds: 0 | [spec.leaseDurationSeconds: Invalid value: 0: must be greater than 0, "
                + "spec.leaseTransitions: Invalid value: -1: must be greater than or equal to 0]"})
    void numbers_of_a_lease_have_limits(String spec, String why) {
        var lease = created(post(leases, "{metadata: {name: l}}"));
        var message = "Lease.coordination.k8s.io \"%s\" is invalid: " + why;
        assertRefused(post(leases, "{metadata: {name: m}, spec: {" + spec + "}}"), 422, "Invalid", message.formatted("m"));
        assertRefused(put(leases + "/m", "{metadata: {name: m}, spec: {" + spec + "}}"), 422, "Invalid", message.formatted("m"));
        assertRefused(patch(leases + "/l", "{spec: {" + spec + "}}"), 422, "Invalid", message.formatted("l"));
        assertEquals(version(lease), version(ok(get(leases + "/l"))));
    }

    @ParameterizedTest
    @ValueSource(strings = {
        "acquireTime: '2026-01-02T03:04:05.123456789Z'", "acquireTime: '2026-01-02T03:04:05.123Z'", "renewTime: '2026-01-02T03:04:05Z'",
        "renewTime: soon", "leaseDurationSeconds: '15'", "holderIdentity: 1"})
    void a_lease_with_a_malformed_field_is_refused(String spec) {
        created(post(leases, "{metadata: {name: l}}"));
        assertRefused(post(leases, "{metadata: {name: m}, spec: {" + spec + "}}"), 400, "BadRequest",
                "Lease in version \"v1\" cannot be handled as a Lease: ");
        assertRefused(patch(leases + "/l", "{spec: {" + spec + "}}"), 422, "Invalid", " \"\" is invalid: patch: Invalid value: ");
    }

    @ConcurrentTest
    void times_of_a_lease_keep_their_microseconds() {
        var lease = created(post(leases, "{metadata: {name: l}, spec: {acquireTime: '2026-01-02T03:04:05.000001Z', "
                + "renewTime: '2026-01-02T03:04:05.120000+02:00'}}"));
        assertEquals("2026-01-02T03:04:05.000001Z", Json.text(lease, "spec", "acquireTime"));
        assertEquals("2026-01-02T01:04:05.120000Z", Json.text(lease, "spec", "renewTime"));
    }

    @ConcurrentTest
    void no_holder_and_an_empty_holder_are_different() {
        created(post(leases, "{metadata: {name: l}, spec: {holderIdentity: ''}}"));
        assertEquals("", Json.text(ok(get(leases + "/l")), "spec", "holderIdentity"));
        assertEquals(Map.of(), ok(patch(leases + "/l", "{spec: {holderIdentity: null}}")).get("spec"));
    }

    @ConcurrentTest
    void unknown_fields_are_dropped() {
        var lease = created(post(leases, "{metadata: {name: l, unknown: 1}, spec: {holderIdentity: web-0, unknown: 2}, unknown: 3}"));
        assertEquals(Map.of("holderIdentity", "web-0"), lease.get("spec"));
        assertNull(lease.get("unknown"));
        assertNull(Json.at(lease, "metadata", "unknown"));
        assertEquals(version(lease), version(ok(patch(leases + "/l", "{spec: {unknown: 4}}"))));
    }

    @ConcurrentTest
    void a_body_must_be_of_the_object_that_the_path_names() {
        var lease = created(post(leases, "{metadata: {name: l}}"));
        assertRefused(put(leases + "/l", "{metadata: {name: m, resourceVersion: '" + version(lease) + "'}}"), 400, "BadRequest",
                "the name of the object (m) does not match the name on the URL (l)");
        assertRefused(put(leases + "/l", "{metadata: {}}"), 400, "BadRequest",
                "the name of the object (l based on URL) was undeterminable: name must be provided");
        assertRefused(patch(leases + "/l", "{metadata: {name: m}}"), 400, "BadRequest", "does not match the name on the URL (l)");
        assertRefused(post(leases, "{metadata: {name: m, namespace: other}}"), 400, "BadRequest",
                "the namespace of the provided object does not match the namespace sent on the request");
    }

    // ------------------------------------------------------------------------------------------------------------ patches

    @ConcurrentTest
    void a_write_that_changes_nothing_keeps_the_version() {
        var lease = created(post(leases, "{metadata: {name: l, labels: {a: '1'}}, spec: {leaseDurationSeconds: 15}}"));
        assertEquals(lease, ok(patch(leases + "/l", "{metadata: {labels: {a: '1', b: null}}, spec: {leaseDurationSeconds: 15}}")));
        assertEquals(lease, ok(patch(leases + "/l", "{metadata: {annotations: {b: null}}}")));
        assertEquals(lease, ok(put(leases + "/l", Json.print(lease))));
    }

    @ConcurrentTest
    void a_stale_version_in_a_patch_is_a_conflict() {
        var pod = created(post(pods, pod("p", "")));
        var patch = "{metadata: {resourceVersion: '" + version(pod) + "', labels: {a: '%s'}}}";
        ok(patch(pods + "/p", patch.formatted("1")));
        var refused = patch(pods + "/p", patch.formatted("2"));
        assertRefused(refused, 409, "Conflict", "Operation cannot be fulfilled on pods \"p\": the object has been modified; "
                + "please apply your changes to the latest version and try again");
        assertEquals(Map.of("name", "p", "kind", "pods"), refused.body.get("details"));
        assertEquals("1", Json.text(ok(get(pods + "/p")), "metadata", "labels", "a"));
    }

    @ConcurrentTest
    void another_uid_in_a_patch_is_unprocessable() {
        created(post(pods, pod("p", "")));
        assertRefused(patch(pods + "/p", "{metadata: {uid: other, labels: {a: '1'}}}"), 422, "Invalid",
                "Pod \"p\" is invalid: metadata.uid: Invalid value: \"other\": field is immutable");
    }

    @ConcurrentTest
    void a_stale_version_counts_before_another_uid() {
        created(post(pods, pod("p", "")));
        assertEquals(409, patch(pods + "/p", "{metadata: {uid: other, resourceVersion: '1'}}").status);
    }

    @ConcurrentTest
    void of_20_parallel_patches_with_one_version_exactly_one_succeeds() throws Exception {
        var pod = created(post(pods, pod("p", "")));
        List<Callable<Integer>> patches = new ArrayList<>();
        for (int i = 0; i < 20; i++) {
            var body = "{metadata: {resourceVersion: '" + version(pod) + "', labels: {winner: 'w" + i + "'}}}";
            patches.add(() -> patch(pods + "/p", body).status);
        }
        try (var threads = Executors.newFixedThreadPool(patches.size())) {
            var statuses = new ArrayList<Integer>();
            for (var answer : threads.invokeAll(patches)) {
                statuses.add(answer.get());
            }
            assertEquals(1, statuses.stream().filter(status -> status == 200).count(), statuses.toString());
            assertEquals(19, statuses.stream().filter(status -> status == 409).count(), statuses.toString());
        }
    }

    @ConcurrentTest
    void null_in_a_patch_removes_a_key_and_leaves_the_others() throws ApiException {
        created(post(pods, pod("p", "labels: {a: '1', b: '2'}, annotations: {c: '3'}")));
        var patched = mergePatch("{\"metadata\": {\"labels\": {\"a\": null, \"d\": \"4\"}}}");
        assertEquals(Map.of("b", "2", "d", "4"), patched.getMetadata().getLabels());
        assertEquals(Map.of("c", "3"), patched.getMetadata().getAnnotations());
    }

    /** Patches the pod p as the program does. */
    private V1Pod mergePatch(String patch) throws ApiException {
        return PatchUtils.patch(V1Pod.class, () -> core.patchNamespacedPod("p", namespace, new V1Patch(patch)).buildCall(null),
                V1Patch.PATCH_FORMAT_JSON_MERGE_PATCH, client);
    }

    @ConcurrentTest
    void removing_the_last_label_leaves_none() {
        created(post(pods, pod("p", "labels: {a: '1'}")));
        assertNull(Json.at(ok(patch(pods + "/p", "{metadata: {labels: {a: null}}}")), "metadata", "labels"));
    }

    @ConcurrentTest
    void a_label_must_be_text() {
        created(post(pods, pod("p", "")));
        assertRefused(patch(pods + "/p", "{metadata: {labels: {a: true}}}"), 422, "Invalid", " \"\" is invalid: patch: Invalid value: ");
        assertRefused(post(pods, pod("q", "labels: {a: true}")), 400, "BadRequest", "Pod in version \"v1\" cannot be handled as a Pod: ");
    }

    @ConcurrentTest
    void a_patch_must_be_an_object_of_a_known_type() {
        created(post(pods, pod("p", "")));
        assertRefused(call("PATCH", pods + "/p", "[1]", "application/merge-patch+json"), 400, "BadRequest", "error decoding patch: ");
        assertRefused(call("PATCH", pods + "/p", "{}", "text/plain"), 415, "UnsupportedMediaType", "415: Unsupported Media Type");
    }

    @ConcurrentTest
    void a_patch_that_takes_the_version_away_is_unconditional_for_a_pod_and_refused_for_a_lease() {
        created(post(pods, pod("p", "")));
        ok(patch(pods + "/p", "{metadata: {resourceVersion: null, labels: {a: '1'}}}"));
        created(post(leases, "{metadata: {name: l}}"));
        assertRefused(patch(leases + "/l", "{metadata: {resourceVersion: null, labels: {a: '1'}}}"), 422, "Invalid",
                "must be specified for an update");
    }

    @ConcurrentTest
    void what_belongs_to_the_server_cannot_be_patched() {
        var pod = created(post(pods, pod("p", "")));
        assertEquals(version(pod), version(ok(patch(pods + "/p", "{metadata: {creationTimestamp: null, generation: 7}}"))));
        // Until 1.34 a message showed times as Go prints them, in the server's time zone.
        var time = server.minorVersion() < 34 ? "2026-01-0" : "\"2026-01-02T03:04:05Z\": field is immutable";
        assertRefused(patch(pods + "/p", "{metadata: {deletionTimestamp: '2026-01-02T03:04:05Z'}}"), 422, "Invalid",
                "Pod \"p\" is invalid: metadata.deletionTimestamp: Invalid value: " + time);
    }

    // ------------------------------------------------------------------------------------------------------------ pods

    @ConcurrentTest
    void a_new_pod_is_pending_whatever_status_it_claims() {
        var body = "{metadata: {name: p}, spec: {containers: [{name: c, image: i}]}, status: {phase: Running}}";
        assertEquals("Pending", Json.text(created(post(pods, body)), "status", "phase"));
    }

    @ConcurrentTest
    void a_write_of_the_pod_leaves_its_status_alone() {
        created(post(pods, pod("p", "")));
        var patched = ok(patch(pods + "/p", "{metadata: {labels: {a: '1'}}, status: {phase: Failed}}"));
        assertEquals("Pending", Json.text(patched, "status", "phase"));
        assertEquals("1", Json.text(patched, "metadata", "labels", "a"));
    }

    @ConcurrentTest
    void a_write_of_the_status_leaves_the_spec_and_the_owners_alone_but_not_the_labels() {
        created(post(pods, pod("p", "labels: {a: '1', b: '2'}")));
        var owners = "ownerReferences: [{apiVersion: v1, kind: Pod, name: o, uid: u}]";
        var patched = ok(patch(pods + "/p/status",
                "{metadata: {labels: {a: '3'}, " + owners + "}, spec: {nodeName: n}, status: {phase: Running}}"));
        assertEquals("Running", Json.text(patched, "status", "phase"));
        assertNull(Json.at(patched, "spec", "nodeName"));
        assertNull(Json.at(patched, "metadata", "ownerReferences"));
        assertEquals(Map.of("a", "3", "b", "2"), Json.at(patched, "metadata", "labels"));

        var replaced = ok(put(pods + "/p/status", "{metadata: {name: p}, status: {phase: Failed}}"));
        assertEquals("Failed", Json.text(replaced, "status", "phase"));
        assertNull(Json.at(replaced, "metadata", "labels"));
        assertEquals("c", Json.text(podSpecContainer(replaced), "name"));
    }

    @ConcurrentTest
    void the_spec_of_a_pod_cannot_be_changed() {
        created(post(pods, pod("p", "")));
        assertRefused(patch(pods + "/p", "{metadata: {labels: {a: '1'}}, spec: {nodeName: n}}"), 422, "Invalid",
                "Pod \"p\" is invalid: spec: Forbidden: pod updates may not change fields other than ");
        assertNull(Json.at(ok(get(pods + "/p")), "metadata", "labels"));
    }

    @ConcurrentTest
    void a_pod_can_be_replaced_without_a_version() {
        var pod = created(post(pods, pod("p", "labels: {a: '1'}")));
        var changed = Json.merge(pod, Json.parse("{metadata: {resourceVersion: null, labels: {a: '2'}}}"));
        assertEquals("2", Json.text(ok(put(pods + "/p", Json.print(changed))), "metadata", "labels", "a"));
    }

    @ConcurrentTest
    void a_failed_pod_can_still_be_patched() throws ApiException {
        created(post(pods, pod("p", "")));
        ok(patch(pods + "/p/status", "{status: {phase: Failed}}"));
        var patched = mergePatch("{\"metadata\": {\"labels\": {\"a\": \"1\"}}}");
        assertEquals("Failed", patched.getStatus().getPhase());
        assertEquals(Map.of("a", "1"), patched.getMetadata().getLabels());
    }

    // ------------------------------------------------------------------------------------------------------------ deletion

    @ConcurrentTest
    void a_scheduled_pod_is_terminating_until_its_kubelet_deletes_it_without_grace() {
        created(post(pods, scheduled("p", "terminationGracePeriodSeconds: 20")));
        var before = Instant.now();
        var terminating = ok(delete(pods + "/p", ""));
        assertEquals(20L, Json.at(terminating, "metadata", "deletionGracePeriodSeconds"));
        var generation = server.minorVersion() < 33 ? null : 2L; // pods have a generation since 1.33
        assertEquals(generation, Json.at(terminating, "metadata", "generation"));
        var end = end(terminating);
        assertTrue(end.isAfter(before.plusSeconds(18)) && end.isBefore(Instant.now().plusSeconds(21)), before + " and 20 s is " + end);
        assertEquals(version(terminating), version(ok(get(pods + "/p"))));

        ok(delete(pods + "/p", "{gracePeriodSeconds: 0}"));
        assertEquals(404, get(pods + "/p").status);
    }

    @ConcurrentTest
    void a_second_deletion_can_only_shorten_the_grace_period() {
        created(post(pods, scheduled("p", "")));
        var terminating = ok(delete(pods + "/p", ""));
        assertEquals(30L, Json.at(terminating, "metadata", "deletionGracePeriodSeconds"));
        assertEquals(terminating, ok(delete(pods + "/p", "")));
        assertEquals(terminating, ok(delete(pods + "/p", "{gracePeriodSeconds: 60}")));
        var sooner = ok(delete(pods + "/p", "{gracePeriodSeconds: 5}"));
        assertEquals(5L, Json.at(sooner, "metadata", "deletionGracePeriodSeconds"));
        assertEquals(end(terminating).minusSeconds(25), end(sooner));
        assertEquals(sooner, ok(delete(pods + "/p?gracePeriodSeconds=10", "")));
    }

    @ConcurrentTest
    void a_terminating_pod_can_be_patched_but_not_saved() {
        created(post(pods, scheduled("p", "")));
        var terminating = ok(delete(pods + "/p", ""));
        var patched = ok(patch(pods + "/p", "{metadata: {labels: {a: '1'}, deletionTimestamp: null, deletionGracePeriodSeconds: null}}"));
        assertEquals(end(terminating), end(patched));
        assertEquals(30L, Json.at(patched, "metadata", "deletionGracePeriodSeconds"));
        assertRefused(patch(pods + "/p", "{metadata: {deletionGracePeriodSeconds: 0}}"), 422, "Invalid",
                "Pod \"p\" is invalid: metadata.deletionGracePeriodSeconds: Invalid value: 0: field is immutable");
    }

    @ConcurrentTest
    void an_unscheduled_pod_is_marked_and_gone_in_one_request() {
        var pod = created(post(pods, pod("p", "")));
        try (var watch = watch(pods + "?resourceVersion=" + version(pod))) {
            var deleted = ok(delete(pods + "/p", ""));
            var marked = watch.next("MODIFIED");
            assertEquals(0L, Json.at(marked, "metadata", "deletionGracePeriodSeconds"));
            assertEquals(version(deleted), version(watch.next("DELETED")));
            assertTrue(Long.parseLong(version(deleted)) > Long.parseLong(version(marked)));
        }
        assertEquals(404, get(pods + "/p").status);
    }

    @ParameterizedTest
    @ValueSource(strings = {"Succeeded", "Failed"})
    void a_finished_pod_is_gone_at_once(String phase) {
        created(post(pods, scheduled("p", "")));
        ok(patch(pods + "/p/status", "{status: {phase: " + phase + "}}"));
        ok(delete(pods + "/p", ""));
        assertEquals(404, get(pods + "/p").status);
    }

    @ConcurrentTest
    void deletion_can_be_bound_to_uid_and_version() {
        var pod = created(post(pods, pod("p", "")));
        assertRefused(delete(pods + "/p", "{preconditions: {uid: other}}"), 409, "Conflict",
                "Operation cannot be fulfilled on Pod \"p\": the UID in the precondition (other) does not match the UID in record ("
                        + uid(pod) + "). The object might have been deleted and then recreated");
        assertRefused(delete(pods + "/p", "{preconditions: {resourceVersion: '1'}}"), 409, "Conflict",
                "the ResourceVersion in the precondition (1) does not match the ResourceVersion in record (" + version(pod)
                        + "). The object might have been modified");
        ok(delete(pods + "/p", "{preconditions: {uid: '" + uid(pod) + "', resourceVersion: '" + version(pod) + "'}}"));
    }

    @ConcurrentTest
    void deleting_a_lease_is_answered_with_a_status() {
        var lease = created(post(leases, "{metadata: {name: l}}"));
        var status = ok(delete(leases + "/l", ""));
        assertEquals("Success", status.get("status"));
        assertEquals(Map.of("name", "l", "group", "coordination.k8s.io", "kind", "leases", "uid", uid(lease)), status.get("details"));
    }

    // ------------------------------------------------------------------------------------------------------------ lists and watches

    @ParameterizedTest
    @CsvSource(delimiter = '|', value = {
        "leader | a b", "!leader | c", "leader=true | a", "leader==false | b", "leader!=true | b c", "leader in (true,false) | a b",
        "leader notin (false) | a c", "leader,leader!=true | b", "app=web,leader | a b", "app=web, !leader | c", "'' | a b c"})
    void labels_select(String selector, String names) throws ApiException {
        created(post(pods, pod("c", "labels: {app: web}")));
        created(post(pods, pod("b", "labels: {app: web, leader: 'false'}")));
        created(post(pods, pod("a", "labels: {app: web, leader: 'true'}")));
        var list = core.listNamespacedPod(namespace).labelSelector(selector).execute();
        assertEquals(names, String.join(" ", list.getItems().stream().map(pod -> pod.getMetadata().getName()).toList()));
    }

    @ConcurrentTest
    void a_field_selector_selects_one_name() throws ApiException {
        created(post(pods, pod("a", "")));
        created(post(pods, pod("b", "")));
        var list = core.listNamespacedPod(namespace).fieldSelector("metadata.name=b").execute();
        assertEquals(List.of("b"), list.getItems().stream().map(pod -> pod.getMetadata().getName()).toList());
    }

    @ConcurrentTest
    void a_malformed_selector_is_a_bad_request() {
        assertRefused(get(pods + "?labelSelector=a%20in%20(b"), 400, "BadRequest", "unable to parse requirement: ");
        assertRefused(get(pods + "?fieldSelector=unknown%3Da"), 400, "BadRequest", "field label not supported: unknown");
    }

    @ConcurrentTest
    void a_list_can_span_all_namespaces() {
        created(post(leases, "{metadata: {name: l}}"));
        created(post(leases.replace(namespace, server.newNamespace()), "{metadata: {name: l}}"));
        var list = ok(get("/apis/coordination.k8s.io/v1/leases?fieldSelector=metadata.name%3Dl"));
        assertTrue(((List<?>) list.get("items")).size() >= 2, list.toString());
        assertEquals("LeaseList", list.get("kind"));
    }

    @ConcurrentTest
    void a_list_newer_than_the_newest_is_a_timeout() {
        long future = Long.parseLong(listVersion()) + 1_000_000;
        assertRefused(get(pods + "?resourceVersion=" + future), 504, "Timeout", "Too large resource version: " + future);
    }

    @ConcurrentTest
    void a_watch_from_a_list_goes_on_where_the_list_ends() {
        created(post(pods, pod("a", "")));
        var list = ok(get(pods));
        created(post(pods, pod("b", "")));
        try (var watch = watch(pods + "?resourceVersion=" + Json.text(list, "metadata", "resourceVersion"))) {
            assertEquals("b", name(watch.next("ADDED")));
            var patched = ok(patch(pods + "/a", "{metadata: {labels: {a: '1'}}}"));
            assertEquals(patched, unmanaged(watch.next("MODIFIED")));
            created(post(leases, "{metadata: {name: unseen}}"));
            created(post(pods, pod("c", "")));
            assertEquals("c", name(watch.next("ADDED")));
        }
    }

    @ParameterizedTest
    @ValueSource(strings = {"", "resourceVersion=0"})
    void a_watch_from_no_version_begins_with_what_there_is(String query) {
        created(post(pods, pod("b", "")));
        created(post(pods, pod("a", "")));
        try (var watch = watch(pods + "?" + query)) {
            assertEquals(List.of("a", "b"), List.of(name(watch.next("ADDED")), name(watch.next("ADDED"))).stream().sorted().toList());
            created(post(pods, pod("c", "")));
            assertEquals("c", name(watch.next("ADDED")));
        }
    }

    @ConcurrentTest
    void a_watch_from_a_future_version_waits_for_it() {
        long future = Long.parseLong(listVersion()) + 1_000_000;
        try (var watch = watch(pods + "?timeoutSeconds=1&resourceVersion=" + future)) {
            created(post(pods, pod("a", "")));
            watch.end();
        }
    }

    @ConcurrentTest
    void a_deletion_is_seen_with_the_last_state_and_a_version_of_its_own() {
        var lease = created(post(leases, "{metadata: {name: l}, spec: {holderIdentity: web-0}}"));
        try (var watch = watch(leases + "?fieldSelector=metadata.name%3Dl&resourceVersion=" + version(lease))) {
            ok(delete(leases + "/l", ""));
            var deleted = watch.next("DELETED");
            assertEquals("web-0", Json.text(deleted, "spec", "holderIdentity"));
            assertTrue(Long.parseLong(version(deleted)) > Long.parseLong(version(lease)));
        }
    }

    @ConcurrentTest
    void who_leaves_the_selection_is_seen_as_deleted_and_who_enters_it_as_added() {
        var pod = created(post(pods, pod("p", "labels: {leader: 'true'}")));
        try (var watch = watch(pods + "?labelSelector=leader&resourceVersion=" + version(pod))) {
            var left = ok(patch(pods + "/p", "{metadata: {labels: {leader: null}}}"));
            var deleted = watch.next("DELETED");
            assertEquals(Map.of("leader", "true"), Json.at(deleted, "metadata", "labels"));
            assertEquals(version(left), version(deleted));

            ok(patch(pods + "/p", "{metadata: {labels: {unseen: x}}}"));
            var entered = ok(patch(pods + "/p", "{metadata: {labels: {leader: 'false'}}}"));
            assertEquals(entered, unmanaged(watch.next("ADDED")));
            ok(patch(pods + "/p", "{metadata: {labels: {leader: 'true'}}}"));
            watch.next("MODIFIED");
        }
    }

    @ConcurrentTest
    void a_bookmark_tells_a_version_that_was_reached_unseen() {
        var from = listVersion();
        try (var watch = watch(pods + "?timeoutSeconds=4&allowWatchBookmarks=true&labelSelector=seen&resourceVersion=" + from)) {
            var unseen = created(post(pods, pod("p", "")));
            var bookmark = watch.next("BOOKMARK");
            assertTrue(Long.parseLong(version(bookmark)) >= Long.parseLong(version(unseen)), bookmark.toString());
            assertEquals("Pod", bookmark.get("kind"));
        }
    }

    @ConcurrentTest
    void a_watch_ends_after_its_timeout() {
        try (var watch = watch(pods + "?timeoutSeconds=1")) {
            watch.end();
        }
    }

    @ConcurrentTest.Alone
    void after_a_restart_the_objects_are_there_and_old_versions_are_gone() {
        assumeTrue(server.canStop(), "not our server to stop");
        var old = listVersion();
        var pod = created(post(pods, pod("p", "")));
        var watch = watch(pods + "?resourceVersion=" + version(pod));
        server.stopServer();
        assertThrows(UncheckedIOException.class, () -> get(pods));
        watch.broken();
        server.startServer();

        assertEquals(unmanaged(pod), ok(get(pods + "/p")));
        try (var late = watch(pods + "?resourceVersion=" + old)) {
            var status = late.next("ERROR");
            assertEquals("Expired", status.get("reason"));
            assertEquals(410L, status.get("code"));
            assertTrue(Json.text(status, "message").startsWith("too old resource version: " + old + " ("), status.toString());
            late.end();
        }
    }

    // ------------------------------------------------------------------------------------------------------------ access and events

    @ConcurrentTest
    void an_access_review_tells_what_is_allowed() throws ApiException {
        assertTrue(allowed(client));
        assertFalse(allowed(clientWithoutRights(namespace)));
    }

    private boolean allowed(ApiClient asking) throws ApiException {
        var attributes = new V1ResourceAttributes().verb("update").group("coordination.k8s.io").resource("leases")
                .namespace(namespace).name("l");
        var review = new V1SelfSubjectAccessReview().spec(new V1SelfSubjectAccessReviewSpec().resourceAttributes(attributes));
        return new AuthorizationV1Api(asking).createSelfSubjectAccessReview(review).execute().getStatus().getAllowed();
    }

    @ConcurrentTest
    void who_has_no_rights_is_told_which_one_is_missing() {
        created(post(leases, "{metadata: {name: l}}"));
        client = clientWithoutRights(namespace);
        http = client.getHttpClient();
        assertForbidden(get(leases + "/l"), "leases.coordination.k8s.io \"l\"",
                "get resource \"leases\" in API group \"coordination.k8s.io\"");
        assertForbidden(post(leases, "{metadata: {name: m}}"), "leases.coordination.k8s.io",
                "create resource \"leases\" in API group \"coordination.k8s.io\"");
        assertForbidden(get(pods + "?labelSelector=a"), "pods", "list resource \"pods\" in API group \"\"");
        assertForbidden(get(pods + "?watch=true"), "pods", "watch resource \"pods\" in API group \"\"");
        assertForbidden(get(leases + "?watch=true&fieldSelector=metadata.name%3Dl"), "leases.coordination.k8s.io \"l\"",
                "watch resource \"leases\" in API group \"coordination.k8s.io\"");
        assertForbidden(patch(pods + "/p/status", "{}"), "pods \"p\"", "patch resource \"pods/status\" in API group \"\"");
    }

    private void assertForbidden(Answer answer, String what, String verb) {
        assertRefused(answer, 403, "Forbidden", what + " is forbidden: User \"");
        assertTrue(Json.text(answer.body, "message").contains("\" cannot " + verb + " in the namespace \"" + namespace + "\""),
                answer.toString());
    }

    @ConcurrentTest
    void an_event_is_the_same_in_both_versions_of_its_api() {
        var events = "/api/v1/namespaces/" + namespace + "/events";
        created(post(events, "{metadata: {name: e}, involvedObject: {kind: Lease, name: l, namespace: " + namespace + "}, "
                + "reason: LeaderElection, message: 'became leader', source: {component: web-0}, count: 1, type: Normal}"));
        assertEquals(2L, ok(patch(events + "/e", "{count: 2}")).get("count"));
        var other = ok(get("/apis/events.k8s.io/v1/namespaces/" + namespace + "/events/e"));
        assertEquals("became leader", other.get("note"));
        assertEquals("l", Json.text(other, "regarding", "name"));
        assertEquals(2L, other.get("deprecatedCount"));
    }

    // ------------------------------------------------------------------------------------------------------------ tools

    /** An answer: HTTP status and the object in it, without managedFields, which clients do not rely on. */
    private record Answer(int status, Map<String, Object> body) { }

    /** An open watch; reading from it fails after {@link #LIMIT}. */
    private record Watch(Response response, BufferedSource source) implements AutoCloseable {

        /** Waits for the next event, which must be of that type, and returns its object. */
        Map<String, Object> next(String type) {
            try {
                var line = source.readUtf8Line();
                assertTrue(line != null, "the watch has ended; expected " + type);
                var event = Json.parse(line);
                assertEquals(type, event.get("type"), line);
                return Json.object(event, "object");
            } catch (IOException e) {
                throw new UncheckedIOException(e);
            }
        }

        /** Waits for the end, before which nothing may come. */
        void end() {
            try {
                assertNull(source.readUtf8Line());
            } catch (IOException e) {
                throw new UncheckedIOException(e);
            }
        }

        /** Waits until the connection breaks or is closed. */
        void broken() {
            try {
                assertNull(source.readUtf8Line());
            } catch (java.net.SocketTimeoutException e) {
                throw new AssertionError("still open", e);
            } catch (IOException e) {
                // as it should
            }
        }

        @Override
        public void close() {
            response.close();
        }
    }

    private Watch watch(String path) {
        try {
            var response = http.newCall(request("GET", path + (path.contains("?") ? "&" : "?") + "watch=true", "", "").build()).execute();
            assertEquals(200, response.code());
            return new Watch(response, response.body().source());
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    private Answer get(String path) {
        return call("GET", path, "", "");
    }

    private Answer post(String path, String body) {
        return call("POST", path, body, "application/json");
    }

    private Answer put(String path, String body) {
        return call("PUT", path, body, "application/json");
    }

    private Answer patch(String path, String body) {
        return call("PATCH", path, body, "application/merge-patch+json");
    }

    private Answer delete(String path, String options) {
        return call("DELETE", path, options, "application/json");
    }

    /** Bodies are written leniently in the tests, without quotes; {@link Json} makes proper JSON of them. */
    private Answer call(String method, String path, String body, String type) {
        var json = body.startsWith("{") ? Json.print(Json.parse(body)) : body;
        try (var response = http.newCall(request(method, path, json, type).build()).execute()) {
            return new Answer(response.code(), unmanaged(Json.parse(response.body().string())));
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    private Request.Builder request(String method, String path, String body, String type) {
        var content = method.equals("GET") || body.isEmpty() && method.equals("DELETE") ? null
                : RequestBody.create(body.getBytes(), MediaType.get(type));
        return new Request.Builder().url(client.getBasePath() + path).method(method, content);
    }

    private String listVersion() {
        return Json.text(ok(get(pods)), "metadata", "resourceVersion");
    }

    private static Map<String, Object> ok(Answer answer) {
        assertEquals(200, answer.status, answer.toString());
        return answer.body;
    }

    private static Map<String, Object> created(Answer answer) {
        assertEquals(201, answer.status, answer.toString());
        return answer.body;
    }

    /** Checks a Status: code, reason (null for none) and how its message begins or what it contains. */
    private static void assertRefused(Answer answer, int code, String reason, String message) {
        assertEquals(code, answer.status, answer.toString());
        assertEquals("Status", answer.body.get("kind"));
        assertEquals("Failure", answer.body.get("status"));
        assertEquals((long) code, answer.body.get("code"));
        assertEquals(reason, answer.body.get("reason"));
        assertTrue(Json.text(answer.body, "message").contains(message), answer.toString());
    }

    private static V1Lease lease(String name, String holder) {
        return new V1Lease().metadata(new V1ObjectMeta().name(name)).spec(new V1LeaseSpec().holderIdentity(holder));
    }

    private static String pod(String name, String metadata) {
        return "{metadata: {name: " + name + (metadata.isEmpty() ? "" : ", " + metadata) + "}, spec: {containers: [{name: c, image: i}]}}";
    }

    private static String scheduled(String name, String spec) {
        return "{metadata: {name: " + name + "}, spec: {nodeName: n, containers: [{name: c, image: i}]"
                + (spec.isEmpty() ? "" : ", " + spec) + "}}";
    }

    @SuppressWarnings("unchecked")
    private static Map<String, Object> podSpecContainer(Map<String, Object> pod) {
        return ((List<Map<String, Object>>) Json.at(pod, "spec", "containers")).getFirst();
    }

    private static Map<String, Object> unmanaged(Map<String, Object> object) {
        return object.containsKey("metadata")
                ? Json.with(object, "metadata", Json.with(Json.object(object, "metadata"), "managedFields", null)) : object;
    }

    private static String name(Map<String, Object> object) {
        return Json.text(object, "metadata", "name");
    }

    private static String uid(Map<String, Object> object) {
        return Json.text(object, "metadata", "uid");
    }

    private static String version(Map<String, Object> object) {
        return Json.text(object, "metadata", "resourceVersion");
    }

    private static Instant end(Map<String, Object> pod) {
        return Instant.parse(Json.text(pod, "metadata", "deletionTimestamp"));
    }
}
