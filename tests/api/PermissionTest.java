import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;

import java.util.Map;
import java.util.Set;
import org.junit.jupiter.api.extension.RegisterExtension;

/** What sidecars make of refusals at run time: they say once what to apply, wait, and go on by themselves. */
@Patient.WithProcesses
class PermissionTest {

    private static final int REFUSALS = 8;

    @RegisterExtension
    final ServedGroup group = ServedGroup.ofTest(ServedGroup.BRISK);

    private static double requests(ServedSidecar sidecar, String label, String value) {
        return sidecar.metrics().families().get("leader_labeler_api_requests_total").samples().entrySet().stream()
                .filter(sample -> sample.getKey().get(label).equals(value)).mapToDouble(Map.Entry::getValue).sum();
    }

    private static int count(ServedSidecar sidecar, String text) {
        return sidecar.process().log().split(text, -1).length - 1;
    }

    /** The in-memory server does not say who one is, so that the namespace's default service account is assumed. */
    private String manifests() {
        String namespace = group.group().namespace();
        return PermissionCheck.role(TestConfig.config().namespace(namespace).build(), "system:serviceaccount:" + namespace + ":default");
    }

    @ConcurrentTest
    void without_any_right_it_says_once_what_to_apply_and_goes_on_when_that_is_done() {
        group.group().createPod("web-0");
        SidecarProcess.train(group.server().kubeconfig()); // which ends by itself only with the right to see that its pod does not exist
        group.server().allow((verb, resource, namespace, name) -> false);
        ServedSidecar sidecar = group.start("web-0");
        Wait.until("it is refused again and again", Group.START,
                () -> sidecar.endpoint().isOpen() && requests(sidecar, "code", "403") >= REFUSALS);

        sidecar.process().awaitLog(manifests().strip(), Group.SOON);
        assertEquals(1, count(sidecar, "kind: RoleBinding"), sidecar.process().log());
        assertEquals(503, sidecar.endpoint().get("/readyz").code());
        assertEquals(200, sidecar.endpoint().get("/healthz").code());
        assertEquals(Set.of("name", "self", "leader", "epoch", "participants"), sidecar.state().keySet(), "no holder was seen yet");

        group.server().allow((verb, resource, namespace, name) -> true);
        assertEquals(sidecar, group.leader());
        assertEquals(200, sidecar.endpoint().get("/readyz").code());
    }

    @ConcurrentTest
    void a_right_that_is_taken_away_later_is_named_with_what_to_apply() {
        ServedSidecar leader = group.elect(1);
        assertEquals(0, count(leader, "kind: RoleBinding"));
        group.server().allow((verb, resource, namespace, name) -> !(verb.equals("update") && resource.equals("leases")));
        Wait.until("it is refused again and again", Group.SOON, () -> requests(leader, "code", "403") >= REFUSALS);

        leader.process().awaitLog("missing permission: update leases.coordination.k8s.io/web: 403 ", Group.SOON);
        leader.process().awaitLog(manifests().strip(), Group.SOON);
        assertEquals(1, count(leader, "kind: RoleBinding"), leader.process().log());
        group.server().allow((verb, resource, namespace, name) -> true);
        group.group().awaitRenewals(leader.pod(), 1);
    }

    @ConcurrentTest
    void without_the_right_to_write_events_that_is_asked_once_and_nothing_else_is_different() {
        group.server().allow((verb, resource, namespace, name) -> !resource.equals("events"));
        group.elect(2);
        group.moveLead();
        ServedSidecar leader = group.moveLead();
        group.group().awaitRenewals(leader.pod(), 25); // longer than the 10 s after which client-java's recorder repeats an Event

        for (ServedSidecar sidecar : group.sidecars()) {
            assertEquals(0, requests(sidecar, "resource", "events"), sidecar.pod());
            assertEquals(1, requests(sidecar, "resource", "selfsubjectaccessreviews"), sidecar.pod());
            assertFalse(sidecar.process().log().toLowerCase().contains("event"), sidecar.process().log());
            assertFalse(sidecar.process().log().matches("(?s).*(WARN|ERROR) .*"), sidecar.process().log());
        }
    }
}
