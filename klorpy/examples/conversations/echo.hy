"An echo server. Try `nc 127.0.0.1 5999`.

    python -m klorpy.examples.conversations echo 5999"

(require klorpy.stdlib.conversations *)
(import klorpy.conversations.drivers [Listener lines listen say tcp-driver])

(defn serve [listener]
  "One process for each connection: it says again what it is told, and ends with the connection."
  (fn [remote]
    (spawn :name f"echo {remote.port}"
           (lines listener remote
                  (fn [line state] (say listener remote f"You said: {line}\n"))))))

(defn program [[listener (Listener 5999)]]
  [(tcp-driver)
   (listen listener (serve listener))])
