(defchor greet [the-client the_client] (-> the-client the_client) [name]
  (the-client->the_client name))
