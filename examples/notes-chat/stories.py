"""Small English stories, made on the spot: text to train on when there is no other.

Made by `maquette eject` (maquette 0.1.0) from the spec notes-chat; blueprint 9a374d186d3b2a74.
"""

import hashlib
import random
import re
import textwrap
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TypeVar

from text import Piece, TextEncoder

# Plots of the built-in stories about animals: those that children meet, and those that talk.
#
# Standard library only; `stories.py` explains the notation.

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


# Plots of the built-in stories that happen in the house.
#
# Standard library only; `stories.py` explains the notation.

HOME_PLOTS = {
    "lost": """
        cast: when hero lost
        - {When} {A} could not find {his} {thing}. / {When} {A} lost {his} {thing}.
        - {He} looked for the {thing} behind the door and inside the teapot. / {He} looked for the
          {thing} everywhere, even in the soup pot.
        - "What were you doing when you had it last?" asked {E}. / "Stop and think," said {E}. "What
          were you doing when you had it last?"
        - "I was {doing}," said {A}. / {A} thought hard. "I was {doing}," {he} said.
        - "Then look there," said {E}. / "Then that is the place to look," said {E}.
        - And there was the {thing}, {found}. / {A} ran to look, and there was the {thing}, {found}.
        - "How did you know?" asked {A}. "I lose things too," said {E}. / "You are very clever,"
          said {A}. "No," said {E}. "I have just lost many things." / Now the {thing} has its own
          place by the door.
        """,
    "glasses": """
        cast: when hero
        let paper = newspaper | letter | map
        - {When} {E} wanted to read the {paper} to {A}. / {When} {A} asked {E} to read the {paper}.
        - "I cannot read the {paper}. Where are my glasses?" asked {E}. / "I cannot read the {paper}
          without my glasses," said {E}.
        - {A} looked for the glasses under the chair and even under the cat. / {A} looked for the
          glasses in the sugar bowl, but found only sugar.
        - Then {he} looked at {E} and began to laugh. / Then {he} looked at {E} and smiled.
        - "Your glasses are on your head!" said {A}. / "I see them," said {A}. "They are on your
          head."
        - {E} felt {bhis} head and laughed until the chair shook. / "What a good place for glasses,"
          said {E}. / "So that is why the ceiling looked so clear," said {E}.
        - Then {E} put on the glasses and read the {paper} aloud. / Then {E} read the {paper} from
          the first word to the last.
        """,
    "noise": """
        cast: hero noise
        let night = one night | one dark night | one windy night
        - {Night} {A} lay in bed and could not sleep. / {Night} a strange noise woke {A}.
        - {Noise}! It sounded like {sounded}.
        - {A} pulled the blanket over {his} head. / {A} called for {E}, but not very loudly.
        - {E} came with a lamp. "Let us see what it is," {bhe} said. / "What is that noise?" {he}
          asked when {E} came. "Let us go and see," said {E}.
        - {Noise}! They followed the noise, and it was no giant. {Maker}. / {Noise}! Hand in hand
          they went to look. It was only this: {maker}.
        - {E} {mended}, and the house was quiet again. / {A} {mended}, and the noise was gone.
        - "I was not afraid," said {A}. "I was, a little," said {E}. / "Good night," said {E}, but
          {A} was already asleep. / Soon the only noise was {E}, snoring.
        """,
    "salt": """
        cast: when hero
        let treat = plum cake | apple pie | pear tart
        - {When} {A} made {a_treat} for {E}. / {When} {A} wanted to make {a_treat} all by {himself}.
        - {He} mixed eggs and flour, and then {he} added a big cup of sugar. / {He} mixed eggs and
          flour until {his} nose was white. Last of all {he} added a cup of sugar.
        - The {treat} came out of the oven round and brown. / Soon the whole house smelled of
          {treat}.
        - {E} took a bite of the {treat} and went very quiet. / {E} took one bite of the {treat} and
          drank three cups of water.
        - "Is it good?" asked {A}. "It tastes like the sea," said {E}. / "How is it?" asked {A}. "A
          fish would love it," said {E}.
        - {A} looked at the cup again. It was not sugar. It was salt! / {A} looked at the jar. It
          was not sugar. It was salt!
        - They laughed and made another {treat}, with sugar this time. / So they made another
          {treat}, and this time they tasted the sugar first.
        - Then {A} drew a fish on the salt jar. / The second {treat} was so good that not a crumb
          was left. / The goat got the first {treat}, for goats like salt.
        """,
    "thief": """
        cast: when hero thief
        - {When} {A} and {B} wanted bread and jam, but the jam jar was empty. / {When} {A} opened
          the jam jar, and it was empty.
        - "Who ate the jam?" asked {A}. / "We have a jam thief!" said {A}.
        - "It was not me," said {B}. "I like honey." / "Let us look for the thief," said {B}.
        - They looked everywhere, and soon they found {clue}. / On hands and knees they looked, and
          {A} found {clue}.
        - "Aha!" said {A}. "The thief is {thief}!" / "Now I know," said {B}. "The thief is {thief}!"
        - They were right, for there was {proof}. / And so it was. There was {proof}.
        - {Thief} looked the other way and said nothing. / {Thief} did not look sorry at all.
        - "At least you like my jam," said {A}. / They made new jam and hid it in a box with three
          locks. / After that they kept the jam on the top shelf.
        """,
    "hiccups": """
        cast: when hero
        let trick = stand on your head | drink a glass of water | hold your nose
        let shape = duck | frog | cow
        - {When} {A} had hiccups. / {When} {A} laughed with {his} mouth full and got hiccups.
        - "Hic!" said {A}. "Hic! Hic!" / "Hello, hic!" said {A} to {B}.
        - "You must {trick}," said {B}. / "What can I do? Hic!" asked {A}. "You must {trick}," said
          {B}.
        - {A} tried it, but the hiccups stayed. "Hic!" / {A} did that. "Hic!" It did not help at
          all.
        - Then {B} made a face like {a_shape}. / Then {B} walked about like {a_shape}.
        - {A} laughed and laughed, and the hiccups were gone. / {A} laughed so hard that {he} forgot
          to hiccup.
        - "You are better than a doctor," said {A}. / "No more hiccups!" said {A}.
        - "Hic!" said {B}. / But then {B} said, "Hic!"
        """,
    "tower": """
        cast: when hero
        let thing = tower | castle
        let blocks = blocks | boxes | books
        - {When} {A} built a {thing} of {blocks}. / {When} {A} wanted to build the highest {thing}
          in the world, all of {blocks}.
        - {He} put the small {blocks} at the bottom and the big {blocks} on top. / First came the
          small {blocks}, then the big {blocks}.
        - Then the {thing} fell down with a crash, and the cat ran under the bed. / Crash! Down came
          the {thing}, and all the {blocks} flew across the floor.
        - "Why did my {thing} fall?" asked {A}. "The bottom was too small," said {B}. / "The big
          {blocks} must go at the bottom," said {B}. "Then the {thing} will stand."
        - So they built it again, with the big {blocks} at the bottom. / So they began again, and
          the small {blocks} went on top.
        - This time the {thing} stood as still as a tree. / Now the {thing} stood up straight and
          did not shake at all.
        - {A} put {his} hat on the very top of the {thing}. / Even the cat came out to look at the
          {thing}. / "Now a bigger {thing}!" said {A}.
        """,
    "spider": """
        cast: when hero
        let spot = bath | sink | teapot
        let size = a plum | a coin | a button
        - {When} {A} found a spider in the {spot}. / {When} {A} called {E}, for there was a spider
          in the {spot}.
        - The spider was as big as {size} and had eight long legs. / The spider was black, and as
          big as {size}.
        - "It is looking at me," said {A}. "It is more afraid than you are," said {E}. / "Will it
          eat me?" asked {A}. "It is smaller than your nose," said {E}.
        - {E} put a glass over the spider and slid a card under the glass. / {A} put a glass over
          the spider, and {E} slid a card under the glass.
        - Then they carried the spider out and let it go under a rose bush. / They took the spider
          to the garden and let it go by the wall.
        - The next day the spider had made a web, full of shining drops. / The next day there was a
          web between two flowers.
        - "It can draw better than I can," said {A}. / "Good morning, spider," said {A}, from not
          too near.
        """,
}


# Plots of the built-in stories that happen out of doors: weather, water, garden and mountain.
#
# Standard library only; `stories.py` explains the notation.

OUTDOORS_PLOTS = {
    "breeze": """
        cast: when hero blown
        - {When} {A} and {B} went for a walk in the wind. / {When} the wind was so strong that {A}
          and {B} had to hold on to each other.
        - The wind took {A}'s {thing} and carried it away. / Whoosh! The wind took {A}'s {thing}.
        - "Stop!" cried {A}, but the wind did not listen. / "Come back!" cried {A}, but the {thing}
          only flew faster.
        - They ran after the {thing}, over the wall and past the mill. / They ran after the {thing}
          as fast as they could, and {B} lost a shoe.
        - When they found the {thing}, {found}. / At last they saw the {thing}. Look, {found}!
        - {Back}, and {A} had {his} {thing} again.
        - {He} held the {thing} with both hands all the way home. / "Next time I will tie it on,"
          said {A}. / "You should buy a heavier {thing}," said {B}.
        """,
    "snowman": """
        cast: when hero
        let nose = carrot | potato | pine cone
        let wear = hat | scarf
        - {When} it snowed, and {A} and {B} made a snowman. / {When} {A} and {B} made a snowman.
        - They gave the snowman {a_nose} for a nose, and {A} gave it {his} {wear}. / The snowman had
          {a_nose} for a nose, and it wore {A}'s {wear}.
        - "Is the snowman cold?" asked {B}. "It likes the cold," said {A}. / "The snowman looks like
          {E}," said {B}. "It is not so loud," said {A}.
        - The next day the sun was warm, and the {nose} fell off. / But then the sun came out, the
          snowman grew thin, and the {nose} fell off.
        - Soon there was only a puddle, with the {nose} in it. / Soon nothing was left but a puddle
          and the {nose}.
        - "Where did the snowman go?" asked {B}. "Into the ground," said {A}. "The flowers will
          drink it." / "The snowman went home," said {A}. "It will come back with the snow."
        - In spring a yellow flower grew on that very spot. / The next winter they made another
          snowman, and it looked just the same.
        """,
    "ice": """
        cast: when hero
        let taste = lemon | cherry | mint
        - {When} {A} bought a {taste} ice cream for {B}. / {When} it was very hot, and {A} bought a
          {taste} ice cream for {B}.
        - {He} walked along the street, and the {taste} ice cream began to drip. / After ten steps
          the {taste} ice cream began to melt.
        - Drip, drip! The {taste} ice cream ran over {his} fingers. / Drip, drip! It ran down {his}
          arm, and a bee came to look.
        - {A} ran, but the sun was faster. / {A} ran over the bridge, but the sun was faster.
        - When {he} came to {B}, there was only a {taste} puddle left. / When {he} came to {B}, only
          the stick was left.
        - "What is it?" asked {B}. "It was {taste} ice cream," said {A}. / "It was very good {taste}
          ice cream," said {A} sadly.
        - {B} laughed. "Next time I will come with you," {bhe} said. / So they went back together
          and ate {taste} ice cream in the shade of the shop.
        """,
    "echo": """
        cast: when hero
        let word = noodle | pickle | pancake
        - {When} {A} and {B} climbed up to an old cave. / {When} {A} and {B} found a cave in the
          side of the mountain.
        - "Hello!" called {A}. "Hello," said the cave. / "Who is there?" called {A}. "Who is there?"
          asked the cave.
        - "A giant lives in the cave!" said {A}, and held {B}'s hand. / {A} jumped back. "There is a
          giant in the cave!" {he} said.
        - "It is only an echo," said {B}. "Your own voice comes back from the wall." / "It is only
          an echo," said {B}. "Say something nice, and it will be nice to you."
        - "I like you!" called {A}. "I like you," said the cave. / "Good morning!" called {A}. "Good
          morning," said the cave.
        - Then {B} shouted, "{Word}!" and the cave said, "{Word}." / "{Word}!" shouted {B}.
          "{Word}," said the cave.
        - They laughed, and the cave laughed too. / {B} laughed so much that {bhe} had to sit down,
          and the cave laughed too.
        - "Goodbye!" called {A}. "Goodbye," said the cave. / "The cave is very polite," said {A} on
          the way home.
        """,
    "seeds": """
        cast: when hero seed
        - {When} {E} gave {A} a {seed} seed. / {When} {A} found a {seed} seed in {his} pocket.
        - {A} put the {seed} seed in a pot, gave it water, and waited. / {A} planted the {seed} seed
          and gave it a cup of water.
        - After an hour {he} looked, but there was only earth. / The next day {he} looked, but there
          was only earth.
        - "Is my seed broken?" asked {A}. "No," said {E}. "It is only slow." / "My seed does not
          work," said {A}. "Wait," said {E}. "Seeds need sun and water and time."
        - So {A} gave the {seed} seed water every day, and told it stories too. / So {A} gave the
          {seed} seed water every day, and the sun shone on it.
        - At last a tiny green leaf came out of the earth. / At last a little green nose came out of
          the earth.
        - By the end of the summer it was {grew}. / It grew and grew until it was {grew}.
        - {Use}. / "What did you feed it?" asked {E}. "Stories," said {A}.
        """,
    "boat": """
        cast: when hero
        let heavy = stone | key | hammer
        let light = cork | leaf | feather
        - {When} {A} and {B} made a toy boat. / {When} {A} and {B} sat by the pond and made a toy
          boat.
        - "The boat needs a captain," said {A}, and put a {heavy} in it. / The boat had a paper sail
          and a captain. The captain was a {heavy}.
        - They pushed the boat with the {heavy} out onto the pond. / {B} gave the boat with the
          {heavy} a push, and off it went.
        - Glug, glug! The boat went down, and so did the {heavy}. / The boat tipped over and sank
          with the {heavy}.
        - "Why did our boat sink?" asked {A}. "The {heavy} is too heavy," said {B}. / "The {heavy}
          is too heavy," said {B}. "We need a light captain."
        - So they pulled the boat out, and the next captain was a {light}. / {A} pulled the boat out
          and made a {light} the captain.
        - This time the boat sailed across the pond with the {light}, past a surprised duck. / Now
          the boat floated all the way across the pond with the {light}.
        - "Well done, captain," said {A} to the {light}. / "Now let us sail to China," said {B}, but
          it was time for supper.
        """,
}


# Plots of the built-in stories that turn on a small sum.
#
# Standard library only; `stories.py` explains the notation. Numbers start at two, so that every
# noun behind one is a plural.

SUMS_PLOTS = {
    "gather": """
        cast: when hero pick add
        - {When} {A} and {B} went to {place} to look for {items}. / {When} {A} and {B} took a
          {holder} to {place} to look for {items}.
        - {A} found {x} {items}, and {B} found {y}. / {A} found {x} {items}. {B} looked a bit longer
          and found {y}.
        - They put all the {items} in the {holder}. / Soon all the {items} were in the {holder}.
        - "How many are there?" asked {B}. "{X} and {y} make {sum}," said {A}. / "Let me count,"
          said {A}. "{X} and {y} make {sum}."
        - "Yes, {sum} {items}!" said {B}. / {B} counted them too, and there were {sum} {items}.
        - They were proud of their {sum} {items}. / They carried the {holder} home between them,
          singing a song about {items}.
        """,
    "goat": """
        cast: when hero subtract
        let thief, part = goat; beard | pony; head | donkey; ears
        - {When} {A} carried {x} carrots home in a basket. / {When} {A} had {x} carrots in a basket.
        - {He} put the basket down and went to talk to {B}. / {He} met {B}, put the basket down, and
          talked for a while.
        - A {thief} came by and put its head in the basket. Crunch, crunch! / Behind {his} back a
          {thief} came by. Crunch, crunch!
        - "Stop!" cried {A}, but {y} carrots were gone. / When {A} turned round, {y} carrots were
          gone.
        - "{X} take away {y} leaves {rest}," said {B}. / "How many are left?" asked {B}. "{X} take
          away {y} leaves {rest}," said {A}.
        - So there were {rest} carrots for supper, and one happy {thief}. / {A} carried the {rest}
          carrots home, and the {thief} came too. / The {thief} shook its {part} and looked at the
          other {rest} carrots.
        - "Next time ask me first," {A} told the {thief}. / "You could have asked," said {A} to the
          {thief}.
        """,
    "stall": """
        cast: when hero stall subtract
        - {When} {A} went to the market with {x} coins to buy a {item}. / {When} {A} took {x} coins
          to the market, for {he} wanted a {item}.
        - "How much is the {item}?" {he} asked {seller}. "{Y} coins," said {seller}. / "Good day,"
          said {A} to {seller}. "How much is the {item}?" "{Y} coins," said {seller}.
        - {A} put {y} coins on the table, one by one. / {A} counted {y} coins into {seller}'s hand.
        - "{X} take away {y} leaves {rest}," said {A}. / "How many coins are left?" asked {seller}.
          "{X} take away {y} leaves {rest}," said {A}.
        - "You count well," said {seller}. / "Nobody can cheat you," said {seller}.
        - {A} walked home with the {item} and {rest} coins, and felt rich. / {A} kept the other
          {rest} coins for a rainy day.
        """,
    "candles": """
        cast: when hero add
        - {When} {E} made a birthday cake for {A}, who was {sum} years old. / Today {A} was {sum}
          years old, and {E} made a birthday cake.
        - "We need {sum} candles," said {A}. / "How many candles do you need?" asked {E}. "{Sum},"
          said {A}.
        - But in the drawer {E} found only {x} candles. / They looked in the drawer, and there were
          {x} candles.
        - "{X} and {y} make {sum}," said {A}. "We need {y} more." / "{X} and {y} make {sum}," said
          {E}. "We need {y} more."
        - So they ran to the shop and bought {y} candles. / The woman next door gave them {y}
          candles.
        - Then the cake was full of light, and {A} made a wish. / {A} blew out all {sum} candles
          with one breath.
        - "What did you wish for?" asked {E}. "More cake," said {A}. / "Now I feel {sum}," said {A}.
        """,
    "soup": """
        cast: when beasts add
        let thing, things = mushroom; mushrooms | potato; potatoes | onion; onions
        - {When} {A} the {kind} had {x} {things}, and {B} the {bkind} had {y}. / {When} {A} the
          {kind} found {x} {things}, and {B} the {bkind} found {y}.
        - "Let us make {thing} soup," said {B}. / "Shall we make {thing} soup?" asked {B}. "Yes, a
          big pot of it," said {A}.
        - "{X} and {y} make {sum}," said {A}, and put all the {things} in a pot. / They put all the
          {things} in a pot. "{X} and {y} make {sum}," said {B}.
        - {A} stirred the {thing} soup, and {B} looked for the spoons. / The {thing} soup smelled so
          good that the birds came down to look.
        - It was the best soup in the whole wood. / They ate soup until their ears were warm.
        - "{Sum} {things} are better than {x}," said {A}. / They saved a bowl of soup for the snail,
          who never finds anything.
        """,
}


# The people, animals and things of the built-in stories, with what belongs to each.
#
# Standard library only. A table's first line names its columns (a line that ends in a bar goes on
# in the next one); a row is drawn as a whole, so what is used for a thing, or eaten by an animal,
# always fits it. `stories.py` reads the tables.

# Heroes, each with the friend `B` and the elder `E` who are in all the stories about them: who
# knows one name of a story knows the others, so that even a small model keeps people apart.
GIRLS = """
    A | B | E
    Ada | Kofi | Papa
    Ella | Max | Grandpa
    Lily | Noah | Uncle Bill
    Maya | Ravi | Papa
    Zoe | Sam | Grandpa
    """
BOYS = """
    A | B | E
    Ben | Aisha | Grandma
    Hugo | Ivy | Mama
    Leo | Mei | Aunt May
    Omar | Nora | Mama
    Tom | Ruby | Grandma
    """

# Animals that are heroes, with their friends.
SHE_BEASTS = """
    A | kind | B | bkind
    Dot | mouse | Basil | badger
    Fern | rabbit | Moss | frog
    Hazel | squirrel | Tully | otter
    """
HE_BEASTS = """
    A | kind | B | bkind
    Bruno | bear | Clover | deer
    Nib | mole | Poppy | fox
    Pip | hedgehog | Willow | beaver
    """

TABLES = {
    "when": """
        when
        one day
        one morning
        one afternoon
        after breakfast
        after lunch
        on Monday
        on Friday
        on Sunday
        """,
    "lost": """
        thing | doing | found
        boot | jumping in puddles | in the biggest puddle, full of rain
        book | reading in the apple tree | on a branch of the apple tree
        spoon | digging in the garden | at the bottom of a deep hole
        ball | playing with the puppy | in the bed of the puppy
        """,
    "noise": """
        noise | sounded | maker | mended
        tap, tap, tap | a tiny knock | a branch was tapping on the window | tied the branch back
        bang, bang, bang | a drum | the garden gate was swinging in the wind | shut the gate
        crunch, crunch, crunch | teeth | the dog was eating a biscuit | shut the biscuit tin
        scratch, scratch, scratch | claws | the cat wanted to come in | opened the door for the cat
        """,
    "thief": """
        clue | thief | proof
        white feathers on the table | the goose | jam on its beak
        muddy paw marks on the floor | the puppy | jam on its nose
        two long ears behind the curtain | the rabbit | jam on its whiskers
        a tail under the chair | the cat | jam on its paws
        """,
    "blown": """
        thing | found | back
        hat | a duck was sitting in it | they waited until the duck went for a swim
        hat | it was sailing down the river | they fished it out with a long stick
        scarf | a scarecrow was wearing it | they gave the scarecrow an old sack instead
        scarf | a cow was chewing it | they gave the cow a cabbage instead
        """,
    "seed": """
        seed | grew | use
        sunflower | a sunflower taller than the door | the birds ate its seeds all winter
        bean | a bean plant that climbed to the roof | they had beans for supper all week
        pumpkin | a pumpkin as big as a chair | they made soup for the whole street
        """,
    "hungry": """
        animal | food | wrong | cry
        kitten | a little fish | a carrot | meowed
        puppy | a bone | a lemon | barked
        duckling | a bowl of corn | a sausage | peeped
        pony | an apple | a cheese | stamped its foot
        """,
    "pick": """
        items | place | holder
        apples | the orchard | basket
        shells | the beach | bucket
        nuts | the wood | bag
        """,
    "stall": """
        item | seller
        kite | the toy maker
        hat | the hat maker
        fish | the fisherman
        bun | the baker
        """,
    # Few sums, told often, so that they can be learned by heart, as children do.
    "add": """
        x | y | sum
        two | three | five
        three | four | seven
        four | two | six
        five | three | eight
        six | four | ten
        """,
    "subtract": """
        x | y | rest
        five | two | three
        seven | three | four
        six | four | two
        eight | five | three
        ten | four | six
        """,
}

BUCKETS = 8
SPLITS = {"train": range(6), "validation": range(6, 7), "test": range(7, 8)}
"""The buckets of each split. A text's bucket is its hash, so no text can be in two splits."""

Row = dict[str, str]
T = TypeVar("T")


def pick(rng: random.Random, items: Sequence[T]) -> T:
    """One of the items. Only `random()` is used: Python promises the same numbers for a seed."""
    return items[int(rng.random() * len(items))]


def capital(text: str) -> str:
    """The text with its first letter in upper case."""
    return text[:1].upper() + text[1:]


def article(noun: str) -> str:
    """The noun behind a or an."""
    return f"an {noun}" if noun[:1].lower() in "aeiou" else f"a {noun}"


def forms(row: Row) -> Row:
    """A row with the forms of each word: `x`, `X`, `a_x`, `A_x`."""
    full: Row = {}
    for key, value in row.items():
        full |= {key: value, capital(key): capital(value)}
        full |= {f"a_{key}": article(value), f"A_{key}": capital(article(value))}
    return full


def read_table(text: str) -> list[Row]:
    """The rows of a table: column names in its first line, cells parted by bars."""
    head, *lines = re.sub(r"\|\n\s*", "| ", textwrap.dedent(text)).strip().splitlines()
    names = [name.strip() for name in head.split("|")]
    cells = [[cell.strip() for cell in line.split("|")] for line in lines]
    return [forms(dict(zip(names, line, strict=True))) for line in cells]


def people(table: str, she: bool) -> list[Row]:
    """The rows of heroes, girls or boys: their own pronouns, and those of the others, who are not.

    Slots: `he him his himself child` for the hero; `bhe bhim bhis bhimself` for `B` and `E`.
    """
    girl, boy = ("she", "her", "her", "herself", "girl"), ("he", "him", "his", "himself", "boy")
    own, other = (girl, boy) if she else (boy, girl)
    slots = dict(zip(("he", "him", "his", "himself", "child"), own, strict=True))
    slots |= dict(zip(("bhe", "bhim", "bhis", "bhimself"), other[:4], strict=True))
    return [row | forms(slots) for row in read_table(table)]


@cache
def tables() -> dict[str, list[Row]]:
    """All that a plot can draw from, by name."""
    return {
        "hero": people(GIRLS, she=True) + people(BOYS, she=False),
        "beasts": people(SHE_BEASTS, she=True) + people(HE_BEASTS, she=False),
    } | {name: read_table(text) for name, text in TABLES.items()}


@dataclass(frozen=True)
class Plot:
    """A plot, ready to use: the tables to draw a row from, and the sentences of its beats."""

    name: str
    draws: list[list[Row]]
    beats: list[list[str]]


def read_let(text: str) -> list[Row]:
    """The rows of `a, b = x; y | p; q`."""
    names, values = text.split("=", 1)
    keys = [name.strip() for name in names.split(",")]
    rows = [[word.strip() for word in value.split(";")] for value in values.split("|")]
    return [forms(dict(zip(keys, row, strict=True))) for row in rows]


def read_plot(name: str, text: str) -> Plot:
    """A plot from its notation; see the top of this file."""
    items: list[str] = []
    for line in textwrap.dedent(text).strip().splitlines():
        if line.startswith(("cast:", "let ", "- ")):
            items.append(line)
        else:
            items[-1] += " " + line.strip()
    plot = Plot(name, [], [])
    for item in items:
        mark, rest = item.split(maxsplit=1)
        if mark == "cast:":
            plot.draws.extend(tables()[each] for each in rest.split())
        elif mark == "let":
            plot.draws.append(read_let(rest))
        else:
            plot.beats.append([" " + sentence for sentence in re.split(r"\s/\s", rest)])
    return plot


@cache
def plots() -> list[Plot]:
    """All plots, read once, when the first story is wanted."""
    families = (HOME_PLOTS, OUTDOORS_PLOTS, ANIMALS_PLOTS, SUMS_PLOTS)
    return [read_plot(name, text) for family in families for name, text in family.items()]


def once_named(last: str, sentence: str) -> str:
    """The sentence, with a pronoun for whom the last one was about: `Tom ran. He fell.`"""
    for name, pronoun in (("{A}", "he"), ("{B}", "bhe"), ("{E}", "bhe")):
        starts = (f" {name} ", f" {{When}} {name} ")
        alone = last.startswith(starts) and f" {name} and " not in last
        if alone or last.endswith(f" {name}."):
            if sentence.startswith(f" {name} ") and not sentence.startswith(f" {name} the "):
                return f" {{{capital(pronoun)}}}{sentence[4:]}"
            if sentence.startswith(f" {{When}} {name} "):
                return f" {{When}} {{{pronoun}}}{sentence[11:]}"
    return sentence


def tell(plot: Plot, rng: random.Random) -> str:
    """One story with this plot."""
    row: Row = {}
    for rows in plot.draws:
        row.update(pick(rng, rows))
    chosen = ""
    last = ""
    for beat in plot.beats:
        last = once_named(last, pick(rng, beat))
        chosen += last
    return chosen.format_map(row).lstrip()


def story(rng: random.Random) -> str:
    """One story: ASCII, one paragraph, about 400 characters."""
    return tell(pick(rng, plots()), rng)


def story_at(index: int, *, seed: int, split: str) -> str:
    """Story number `index` of a split: a pure function of these three."""
    digest = hashlib.blake2b(f"{seed}/{split}/{index}".encode(), digest_size=8).digest()
    # An integer seeds alike on every platform and version of Python.
    rng = random.Random(int.from_bytes(digest, "big"))
    buckets = SPLITS[split]
    while True:
        text = story(rng)
        if zlib.crc32(text.encode()) % BUCKETS in buckets:
            return text


def some_stories(count: int, *, seed: int, split: str) -> Iterator[str]:
    """The first `count` stories of a split: train, validation or test; others give a KeyError."""
    for index in range(count):
        yield story_at(index, seed=seed, split=split)


class Stories:
    """The stories as a source of text: `stories` to train on, a twentieth of it for each other."""

    encoder = TextEncoder

    def __init__(self, *, stories: int, seed: int) -> None:
        self.stories = stories
        self.seed = seed

    def splits(self) -> tuple[str, ...]:
        """Train, validation and test."""
        return tuple(SPLITS)

    def count(self, split: str) -> int:
        """How many stories a split has."""
        return self.stories if split == "train" else max(20, self.stories // 20)

    def pieces(self, split: str) -> Iterator[Piece]:
        """The stories of a split, each a document of one piece."""
        for text in some_stories(self.count(split), seed=self.seed, split=split):
            yield Piece(text, last=True)
