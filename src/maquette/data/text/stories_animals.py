"""Plots of the built-in stories about animals: those that children meet, and those that talk.

Standard library only; `stories.py` explains the notation.
"""

ANIMALS_PLOTS = {
    "hungry": """
        cast: when hero hungry
        - {When} {A} found a hungry {animal} by the door. / {When} a hungry {animal} came into the
          garden and looked at {A}.
        - "What do you want?" asked {A}. The {animal} {cry}. / The {animal} was thin, and it {cry}.
        - First {A} gave the {animal} {wrong}, but it would not eat. / {A} gave the {animal}
          {wrong}, but it turned away.
        - "Do not give it {wrong}," said {E}. "Bring {food}." / "What does it eat?" asked {A}.
          "Bring {food}," said {E}.
        - So {A} brought {food}, and the {animal} ate it all. / So {A} came back with {food}, and in
          one minute it was gone.
        - Then the {animal} fell asleep on {his} foot, and {A} did not dare to move. / After that
          the {animal} followed {A} all day.
        - "I think the {animal} likes you," said {E}. / The next day the {animal} came back and
          brought two friends.
        """,
    "moon": """
        cast: beasts
        let night = one night | one cold night | one clear night
        let water = pond | lake
        let tool = net | bucket | spoon
        - {Night} {A} the {kind} looked into the {water}. / {Night} {A} the {kind} came to the
          {water} to drink.
        - There was the moon, round and white, under the water. / In the black {water} lay the moon.
        - "Help!" cried {A}. "The moon has fallen in!" / "Oh no!" said {A}. "The moon will get wet!"
        - {A} ran to fetch {B} the {bkind}, who came with a {tool}. / {B} the {bkind} heard it and
          came running with a {tool}.
        - They tried to lift the moon out with the {tool}, but it broke into a hundred pieces. / As
          soon as the {tool} touched the water, the moon broke.
        - "We have broken the moon," said {A}, and began to cry. / "Now the nights will be black,"
          said {A}, and began to cry.
        - Then {B} looked up. "We have saved the moon!" {bhe} said. "It is back in the sky." / "Look
          up," said {B}. There was the moon, high over the trees, and not even wet.
        - They were very proud, and they told everybody about the moon. / "Good night, moon," said
          {A}. "Be careful."
        """,
    "bridge": """
        cast: when beasts
        let gift = nut cake | honey cake | cherry pie
        - {When} {A} the {kind} and {B} the {bkind} met on a narrow bridge. / {When} {A} the {kind}
          met {B} the {bkind} on a narrow bridge.
        - The bridge was too narrow for two. / There was room on the bridge for only one of them.
        - "After you," said {A}. "No, after you," said {B}. / "You go first," said {A} politely.
          "No, you," said {B}.
        - They bowed, and they bowed again. / "I have time," said {A}. "I have time too," said {B}.
        - The sun went down, and they were still on the bridge. / An hour passed. A fish looked up
          at the bridge and shook its head.
        - "I have a {gift} with me," said {A}. "Are you hungry?" / "What smells so good?" asked {B}.
          "Just a {gift}," said {A}.
        - So they sat down on the bridge and ate the {gift}. / They let their feet hang over the
          water and ate the {gift}.
        - Then both of them turned round and went home. / "Where were you going?" asked {A}. "To see
          you," said {B}.
        """,
    "snore": """
        cast: beasts
        let tune = trumpet | drum | violin
        let saw = saw | train | lion
        - {A} the {kind} and {B} the {bkind} lived in one house. / {A} the {kind} lived in one house
          with {B} the {bkind}.
        - Every night {B} snored like a {saw}. / Every night {B} snored so loudly that the cups fell
          off the shelf.
        - {A} put {his} head under the pillow, but that did not help. / {A} could not sleep at all.
        - "Please stop snoring!" said {A}. / One night {A} woke {bhim}. "You are snoring," {he}
          said.
        - "I never snore," said {B}. "I would hear it." / "Me? I was listening to the owls," said
          {B}.
        - So the next night {A} played the {tune}, and {B} fell out of bed. / So the next night {A}
          played the {tune} until {B} woke up.
        - "What a terrible noise!" said {B}. "That is just what I say every night," said {A}. / "Now
          I cannot sleep," said {B}. "Now you know," said {A}.
        - After that {B} slept on {bhis} side, and the only noise was the wind. / After that nobody
          snored, and nobody played the {tune}.
        """,
    "snail": """
        cast: when beasts
        let what, late = birthday; a year | party; a month | picnic; a week
        - {When} {A} the {kind} wrote a letter to {B} the {bkind}. "Please come to my {what}," it
          said. / {When} {A} the {kind} wanted to ask {B} the {bkind} to a {what}, and wrote a
          letter.
        - {He} gave the letter to the snail, who was the postman. "A {what}!" it said. "I will
          hurry." / The snail put the letter on its back. "A {what}!" it said. "I will hurry."
        - The snail went as fast as it could. It passed a stone, and later another stone. / The
          snail ran. It did not look like running, but it was.
        - {A} waited, but {B} did not come to the {what}. / On the day of the {what} {A} sat there
          all alone with a cake.
        - {Late} later {B} stood at the door with a present. / {Late} later somebody knocked. It was
          {B} with a present.
        - "Am I early?" asked {B}. "The letter has just come." / "I came at once," said {B}. "The
          snail was so quick!"
        - "You are just in time for the next {what}," said {A}. / So they had the {what} after all,
          and the snail came too.
        """,
}
