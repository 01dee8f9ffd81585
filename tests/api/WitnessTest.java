import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

/** The witness on whose word the other tests rest finds what is wrong, and only that. The hand that writes is kubectl's. */
@Real
class WitnessTest {

    private final RealServer server = RealServer.shared();
    private final Group group = new Group(server, server.newNamespace(), "web", List.of());

    @AfterEach
    void close() {
        group.close();
    }

    @Test
    void two_labels_at_once_are_found_even_if_only_for_a_moment() {
        createPods();
        byHand("label", "web-0", "web/is-leader=true");
        byHand("label", "web-1", "web/is-leader=true");
        byHand("label", "web-0", "web/is-leader=false", "--overwrite");

        group.witness().catchUp();

        String message = assertThrows(AssertionError.class, group.witness()::check).getMessage();
        assertTrue(message.endsWith("the label is true on [web-0, web-1]"), message);
    }

    @Test
    void a_label_that_moves_is_fine() {
        createPods();
        byHand("label", "web-0", "web/is-leader=true");
        byHand("label", "web-0", "web/is-leader=false", "--overwrite");
        byHand("label", "web-1", "web/is-leader=true");

        group.check();

        assertEquals(List.of("web-0 on", "web-0 off", "web-1 on"), group.witness().movesSince(0).stream().map(Object::toString).toList());
        assertEquals(3, group.witness().writesSince(0).size());
    }

    @Test
    void a_label_that_the_test_forges_is_nobodys_fault_until_it_is_taken_off() {
        createPods();
        byHand("label", "web-0", "web/is-leader=true");
        group.editLabel("web-1", "web/is-leader", "true");
        group.check();
        assertEquals(1, group.witness().writesSince(0).size());

        group.editLabel("web-1", "web/is-leader", "false");
        byHand("label", "web-1", "web/is-leader=true", "--overwrite");

        group.witness().catchUp();
        assertThrows(AssertionError.class, group.witness()::check);
    }

    @Test
    void a_write_to_anything_but_our_keys_is_found() {
        createPods();
        byHand("annotate", "web-0", "web/epoch=1");
        group.check();

        byHand("annotate", "web-0", "web/epok=1");

        group.witness().catchUp();
        String message = assertThrows(AssertionError.class, group.witness()::check).getMessage();
        assertTrue(message.contains("more of pod web-0 than our keys"), message);
    }

    /** A server in memory forgets its revisions when it restarts, as a real one with a watch cache does. */
    @Test
    void a_gap_is_found() {
        try (InMemoryServer forgetful = new InMemoryServer();
                Group watched = new Group(forgetful, forgetful.newNamespace(), "web", List.of())) {
            watched.createPod("web-0");
            watched.check();

            forgetful.stopServer();
            forgetful.startServer();

            Wait.until("the witness knows that it missed something", Group.SOON, () -> watched.witness().gap().isPresent());
            String message = assertThrows(AssertionError.class, watched.witness()::check).getMessage();
            assertTrue(message.contains("cannot testify") && message.contains("410"), message);
        }
    }

    private void createPods() {
        group.createPod("web-0");
        group.createPod("web-1");
    }

    private void byHand(String verb, String pod, String... arguments) {
        List<String> command = new ArrayList<>(List.of(verb, "-n", group.namespace(), "pod", pod));
        command.addAll(List.of(arguments));
        server.kubectl(command.toArray(String[]::new));
    }
}
