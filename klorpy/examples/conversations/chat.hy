"A chat room for many. Try `nc 127.0.0.1 5999`, twice.

    python -m klorpy.examples.conversations chat 5999

The room is a VM of its own, with a conversation of its own: who is in the room publishes what he says, and subscribes to
what all say. That somebody arrives or leaves is presence and absence; nobody keeps a list."

(require klorpy.stdlib.conversations *)
(import klorpy.conversations [at-meta-level observer publisher send subscriber transition]
        klorpy.conversations.drivers [Listener lines listen say tcp-driver])

(defn join [name tell]
  "Be in the room. Everybody hears of himself, too, which is not told."
  [(role "me" (publisher #("says" name _)))
   (role "others" (observer (publisher #("says" _ _)))
         :on-presence (when (!= (get conversation 1) name) (tell f"{(get conversation 1)} is here."))
         :on-absence (when (!= (get conversation 1) name) (tell f"{(get conversation 1)} has left.")))
   (role "room" (subscriber #("says" _ _))
         [#("says" who text) (when (!= who name) (tell f"{who}: {text}"))])])

(defn visitor [listener]
  "The process of a visitor; its state is the visitor's name. The first line is the name, the others are said."
  (fn [remote]
    (defn tell [text]
      (at-meta-level (say listener remote f"{text}\n")))
    (spawn :name f"visitor {remote.port}"
           (tell "What is your name?")
           (lines listener remote :meta True
                  (fn [line name]
                    (if name
                      (send #("says" name line))
                      (transition line (join line tell))))))))

(defn room [listener]
  (nested-vm :name "room"
             (at-meta-level (listen listener (visitor listener)))))

(defn program [[listener (Listener 5999)]]
  [(tcp-driver)
   (room listener)])
